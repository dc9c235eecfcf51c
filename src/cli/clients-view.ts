import type { ClientRecord } from '../clients/list.ts'
import type { Config } from '../config/config.ts'
import { type Paint, pairs, printable } from './terminal.ts'
import { duration, when } from './times.ts'

export function stateOf(client: ClientRecord, paint: Paint): string {
  if (client.builtIn) return 'built in'
  return client.disabledAt ? paint('red', 'disabled') : paint('green', 'enabled')
}

/**
 * What each is, with what the settings say where the client says nothing. The servers need not have the settings that this terminal
 * has, so each of those says whose it is.
 */
export function describe(client: ClientRecord, config: Config, paint: Paint, now: Date): string {
  const none = paint('dim', 'none')
  const listOf = (items: readonly string[]) => items.join(', ') || none
  const scopes = [...(client.type === 'service' ? [] : ['account']), ...(client.scopes ?? [])]
  const lines: [string, string][] = [
    ['client_id', client.id],
    ['type', client.type],
    [
      'state',
      client.disabledAt ? `${stateOf(client, paint)} since ${when(client.disabledAt, now)}` : stateOf(client, paint),
    ],
    [
      'scopes',
      client.type === 'service' || client.scopes
        ? listOf(scopes)
        : `${listOf([...scopes, ...config.SCOPES])} (${ofTerminal('SCOPES')})`,
    ],
    [
      'audiences',
      client.audiences ? listOf(client.audiences) : `${listOf(config.AUDIENCE)} (${ofTerminal('AUDIENCE')})`,
    ],
  ]
  if (client.type !== 'service') lines.push(['origins', client.origins ? listOf(client.origins) : settingOf(client)])
  lines.push(...lifetimesOf(client, config), ...authOf(client))
  if (client.dpopRequired) lines.push(['dpop', 'required: each of its tokens is bound to a key'])
  if (client.statesVisitorAddress) lines.push(['addresses', 'it states those of its visitors'])
  for (const secret of client.secrets) {
    const used = secret.lastUsedAt ? `last used ${when(secret.lastUsedAt, now)}` : 'not used yet'
    const until = secret.expiresAt > now ? `good until ${when(secret.expiresAt, now)}` : paint('red', 'expired')
    lines.push(['secret', `of ${when(secret.createdAt, now)}, ${until}, ${used}`])
  }
  if (client.createdAt) lines.push(['created', when(client.createdAt, now)])
  return pairs(lines, paint)
}

function ofTerminal(setting: keyof Config): string {
  return `${setting} of this terminal`
}

function settingOf({ id }: ClientRecord): string {
  return id === 'native' ? 'those of NATIVE_ORIGINS' : 'those of ALLOWED_ORIGINS, and the issuer’s own'
}

type LifetimeSetting = Extract<keyof Config, `${string}_SECONDS`>

function lifetimesOf(client: ClientRecord, config: Config): [string, string][] {
  const seconds = (own: number | null, setting: LifetimeSetting) => {
    if (own !== null) return `${own} s (${duration(own)})`
    return `${config[setting]} s (${duration(config[setting])}; ${ofTerminal(setting)})`
  }
  const lines: [string, string][] = []
  if (client.type === 'browser')
    lines.push([
      'sessions',
      `end after ${seconds(client.sessionMaxSeconds, 'SESSION_MAX_SECONDS')}, unused after ${seconds(client.sessionIdleSeconds, 'SESSION_IDLE_SECONDS')}`,
    ])
  if (client.type !== 'service')
    lines.push([
      client.type === 'browser' ? 'remembered' : 'sessions',
      `end after ${seconds(client.rememberMaxSeconds, 'REMEMBER_MAX_SECONDS')}, unused after ${seconds(client.rememberIdleSeconds, 'REMEMBER_IDLE_SECONDS')}`,
    ])
  return [...lines, ['access token', seconds(client.accessTokenSeconds, 'ACCESS_TOKEN_SECONDS')]]
}

function authOf({ auth }: ClientRecord): [string, string][] {
  if (!auth) return []
  switch (auth.method) {
    case 'private_key_jwt': {
      const kids = auth.jwks?.keys.map(({ kid, kty }) => printable(String(kid ?? kty)))
      return [['proves itself', `by private_key_jwt, with ${auth.jwksUri ?? `these keys: ${kids?.join(', ')}`}`]]
    }
    case 'workload':
      return [
        ['proves itself', 'by the token of a workload'],
        ['issuer', auth.issuer],
        ['subject', printable(auth.subject)],
        ...Object.entries(auth.claims).map(([name, value]): [string, string] => [
          'claim',
          printable(`${name}=${value}`),
        ]),
        ...(auth.jwksUri === undefined ? [] : [['keys', auth.jwksUri] satisfies [string, string]]),
      ]
    case 'client_secret_basic':
    case 'client_secret_post':
      return [['proves itself', `by ${auth.method}`]]
    default:
      return auth satisfies never
  }
}

export function toJson(client: ClientRecord) {
  const { auth } = client
  return {
    client_id: client.id,
    name: client.name,
    type: client.type,
    built_in: client.builtIn,
    scopes: client.scopes,
    audiences: client.audiences,
    origins: client.origins,
    session_idle_seconds: client.sessionIdleSeconds,
    session_max_seconds: client.sessionMaxSeconds,
    remember_idle_seconds: client.rememberIdleSeconds,
    remember_max_seconds: client.rememberMaxSeconds,
    access_token_seconds: client.accessTokenSeconds,
    auth: auth?.method ?? null,
    states_visitor_address: client.statesVisitorAddress,
    dpop_required: client.dpopRequired,
    jwks: (auth?.method === 'private_key_jwt' && auth.jwks) || null,
    jwks_uri: (auth?.method === 'private_key_jwt' && auth.jwksUri) || null,
    workload:
      auth?.method === 'workload'
        ? { issuer: auth.issuer, subject: auth.subject, claims: auth.claims, jwks_uri: auth.jwksUri ?? null }
        : null,
    secrets: client.secrets.map(({ createdAt, expiresAt, lastUsedAt }) => ({
      created_at: createdAt,
      expires_at: expiresAt,
      last_used_at: lastUsedAt,
    })),
    disabled_at: client.disabledAt,
    created_at: client.createdAt,
  }
}
