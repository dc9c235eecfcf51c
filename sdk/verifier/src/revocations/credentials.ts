import { exchange, refuseUnless } from '../download.ts'
import { inTime } from '../in-time.ts'
import { backOff } from './back-off.ts'
import type { Surroundings } from './surroundings.ts'

/** A service client of the issuer, and what proves it. */
export type ClientCredentials = (WithSecret | WithAssertion) & {
  id: string
  /** What this process is called in `claviger verifiers`, such as the name of its pod. Default: a random name. */
  instance?: string
}
interface WithSecret {
  secret: string
  assertion?: never
}
interface WithAssertion {
  secret?: never
  /** The JWT that proves it (RFC 7523 §2.2), asked for at each use: one that it signs then, or what its platform has given it. */
  assertion(): string | Promise<string>
}

export interface Credentials {
  /** Headers for the stream and receipts. */
  forFeed(): Promise<Record<string, string>>
  /**
   * The issuer has refused what was given for the feed (401), or does not look at it after too many failures (429): what
   * was given may be one of them.
   */
  refused(): void
  /** For a form at an OAuth endpoint. */
  forForm(): Promise<{ headers: Record<string, string>; parameters: Record<string, string> }>
}

/** A token with a JWT of a few claims. */
const MAX_BYTES = 64 * 1024
/** Of the lifetime of a token: the rest is for what is on its way, and an issuer that is away. */
const USED = 0.8
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Without a client, the feed is read as by anybody. */
export function createCredentials(
  client: ClientCredentials | undefined,
  around: Pick<Surroundings, 'base' | 'fetch' | 'timeoutMs' | 'monotonic' | 'after'>,
): Credentials {
  if (client?.assertion) return byAssertion(client, around)
  const headers: Record<string, string> = client ? { authorization: basic(client) } : {}
  return { forFeed: async () => headers, refused: () => {}, forForm: async () => ({ headers, parameters: {} }) }
}

/** An assertion belongs into a form (RFC 7523 §2.2), which the feed has not: it takes an access token that is for it alone. */
function byAssertion(
  { id, assertion }: WithAssertion & { id: string },
  { base, fetch, timeoutMs, monotonic, after }: Parameters<typeof createCredentials>[1],
): Credentials {
  const url = `${base}/oauth/token`
  const limits = { fetch, timeoutMs, maxBytes: MAX_BYTES }
  let held: { token: string; until: number } | undefined
  let asking: Promise<string> | undefined
  /** The issuer has said when to ask again. */
  let pause: { until: number; error: Error } | undefined

  const prove = async (): Promise<string> => {
    try {
      const given: unknown = await inTime(assertion, { timeoutMs, after })
      if (typeof given !== 'string') throw new Error('it gave no text')
      return given
    } catch (error) {
      // Anything may have been thrown.
      const reason = error instanceof Error ? error.message : String(error)
      throw new Error(`the function for the client's assertion failed: ${reason}`)
    }
  }

  const forForm: Credentials['forForm'] = async () => ({
    headers: {},
    parameters: { client_id: id, client_assertion_type: JWT_BEARER, client_assertion: await prove() },
  })

  const ask = async (): Promise<string> => {
    const { parameters } = await forForm()
    const form = { grant_type: 'client_credentials', audience: `${base}/.well-known/revocations`, ...parameters }
    const headers = { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' }
    const body = new URLSearchParams(form).toString()
    const answer = await exchange(url, { method: 'POST', headers, body }, limits)
    try {
      refuseUnless(200, url, answer)
    } catch (error) {
      const retryAfter = answer.headers.get('retry-after')
      if (retryAfter) pause = { until: monotonic() + backOff(1, retryAfter), error: error as Error }
      throw error
    }
    const { access_token: token, expires_in: seconds } = JSON.parse(answer.text) as Record<string, unknown>
    if (typeof token !== 'string' || typeof seconds !== 'number') throw new Error(`${url} gave no access token`)
    held = { token, until: monotonic() + seconds * 1000 * USED }
    return token
  }

  return {
    forForm,
    forFeed: async () => {
      if (held && monotonic() < held.until) return { authorization: `Bearer ${held.token}` }
      if (pause && monotonic() < pause.until) throw pause.error
      // Stream and receipts begin together, and need one.
      asking ??= ask().finally(() => (asking = undefined))
      return { authorization: `Bearer ${await asking}` }
    },
    refused: () => {
      held = undefined
    },
  }
}

/** RFC 6749 §2.3.1: both are form-encoded before they are put together. */
function basic({ id, secret = '' }: { id: string; secret?: string }): string {
  const encode = (text: string): string => new URLSearchParams([['', text]]).toString().slice(1)
  return `Basic ${btoa(`${encode(id)}:${encode(secret)}`)}`
}
