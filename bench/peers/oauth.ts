import { type Adapter, form, member } from './adapter.ts'

export interface Client {
  id: string
  /** Absent: a public client, which has no client-credentials grant. */
  secret?: string | undefined
}

/**
 * Any OAuth 2 token endpoint (RFC 6749).
 * @param url - of the token endpoint itself.
 * @param credentials - refresh tokens of that client, one per session; without them only client credentials are driven.
 */
export function oauth(url: URL, client: Client, credentials: string[]): Adapter {
  return {
    name: 'OAuth 2',
    url,
    credentials,
    ...(credentials.length > 0 ? { refresh: refreshGrant('', client) } : {}),
    ...(client.secret === undefined ? {} : { clientCredentials: clientGrant('', client) }),
    credentialIn: grantedIn,
  }
}

export const refreshGrant =
  (path: string, client: Client) =>
  (token: string): ReturnType<typeof form> =>
    form(path, { grant_type: 'refresh_token', refresh_token: token, ...named(client) }, authorization(client))

export const clientGrant = (path: string, client: Client) => (): ReturnType<typeof form> =>
  form(path, { grant_type: 'client_credentials' }, authorization(client))

/** A server that does not rotate refresh tokens may leave them out of its answer (RFC 6749 section 6). */
export const grantedIn: Adapter['credentialIn'] = (answer, presented) =>
  member(answer, 'access_token') === undefined ? undefined : (member(answer, 'refresh_token') ?? presented)

/** A public client names itself in the body (RFC 6749 section 3.2.1). */
export const named = ({ id, secret }: Client): Record<string, string> => (secret === undefined ? { client_id: id } : {})

/** Both parts are form-encoded before they are joined (RFC 6749 section 2.3.1). */
export function authorization({ id, secret }: Client): Record<string, string> {
  if (secret === undefined) return {}
  const pair = [id, secret].map((part) => encodeURIComponent(part).replaceAll('%20', '+')).join(':')
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
}
