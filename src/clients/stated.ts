import { readKeySet } from './key-set.ts'
import { ClientRefused, type Fault } from './refused.ts'
import type { PublicRegistration, Registration, ServiceAuth } from './registration.ts'

/** What an operator states about a new client, as it was typed: some of it may not go together. */
export interface Stated {
  name: string
  type?: string | undefined
  scopes?: string[] | undefined
  audiences?: string[] | undefined
  origins?: string[] | undefined
  auth?: string | undefined
  statesVisitorAddress?: boolean | undefined
  /** JSON. */
  jwks?: string | undefined
  jwksUri?: string | undefined
  issuer?: string | undefined
  subject?: string | undefined
  /** Each `name=value`. */
  claims?: string[] | undefined
  workloadJwksUri?: string | undefined
  sessionIdleSeconds?: string | undefined
  sessionMaxSeconds?: string | undefined
  rememberIdleSeconds?: string | undefined
  rememberMaxSeconds?: string | undefined
  accessTokenSeconds?: string | undefined
  dpop?: string | undefined
}

type About = Exclude<keyof Stated, 'name' | 'type'>

const SESSIONS = ['sessionIdleSeconds', 'sessionMaxSeconds', 'rememberIdleSeconds', 'rememberMaxSeconds'] as const
const KEYS = ['jwks', 'jwksUri'] as const
const WORKLOAD = ['issuer', 'subject', 'claims', 'workloadJwksUri'] as const
const METHODS = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'workload'] as const

/**
 * Makes a registration of it.
 * @throws ClientRefused naming everything that does not go together.
 */
export function registrationOf(stated: Stated): Registration {
  const { name, type, scopes, audiences, dpop } = stated
  if (dpop !== undefined && dpop !== 'required') throw refused(['dpop'], 'must be required, or left out')
  const accessTokenSeconds = secondsOf(stated.accessTokenSeconds)
  const common = { name, scopes, audiences, accessTokenSeconds, dpopRequired: dpop === 'required' }
  if (type === 'service')
    return { ...common, type, auth: authOf(stated), statesVisitorAddress: stated.statesVisitorAddress }
  if (type !== 'browser' && type !== 'native')
    throw new ClientRefused('invalid', [{ about: 'type', message: 'must be one of service, browser, native' }])
  const misplaced = statedOf(stated, ['auth', 'statesVisitorAddress', ...KEYS, ...WORKLOAD])
  if (misplaced.length > 0)
    throw refused(misplaced, 'is for services: browser and native clients are public, and nothing proves them')
  const lifetimes = Object.fromEntries(SESSIONS.map((about) => [about, secondsOf(stated[about])]))
  return {
    ...common,
    type,
    origins: stated.origins,
    ...(lifetimes as Pick<PublicRegistration, (typeof SESSIONS)[number]>),
  }
}

/** @throws ClientRefused. */
function authOf(stated: Stated): ServiceAuth | undefined {
  const { auth, jwks, jwksUri, issuer, subject, claims = [], workloadJwksUri } = stated
  const method = METHODS.find((each) => each === auth)
  const faults: Fault[] = statedOf(stated, ['origins', ...SESSIONS]).map((about) => ({
    about,
    message: 'is for clients that people sign in with',
  }))
  if (auth !== undefined && !method) faults.push({ about: 'auth', message: `must be one of ${METHODS.join(', ')}` })
  const misplaced = (names: readonly About[], other: string): void => {
    for (const about of statedOf(stated, names)) faults.push({ about, message: `goes with ${other}` })
  }
  if (method !== 'private_key_jwt') misplaced(KEYS, 'private_key_jwt')
  else if ((jwks === undefined) === (jwksUri === undefined))
    faults.push({ about: 'jwks', message: 'or the place where the keys are published must be given, one of the two' })
  if (method !== 'workload') misplaced(WORKLOAD, 'workload')
  else {
    if (issuer === undefined) faults.push({ about: 'issuer', message: 'must be given' })
    if (subject === undefined) faults.push({ about: 'subject', message: 'must be given' })
  }
  if (faults.length > 0) throw new ClientRefused('invalid', faults)
  if (method === 'private_key_jwt')
    return jwksUri === undefined ? { method, jwks: readKeySet(jwks ?? '') } : { method, jwksUri }
  if (method === 'workload')
    return { method, issuer: issuer ?? '', subject: subject ?? '', claims: claimsOf(claims), jwksUri: workloadJwksUri }
  return method && { method }
}

/** @throws ClientRefused. */
function claimsOf(texts: readonly string[]): Record<string, string> {
  const claims = new Map<string, string>()
  for (const text of texts) {
    const at = text.indexOf('=')
    const name = text.slice(0, at)
    if (at < 1) throw refused(['claims'], `${text}: must be name=value`)
    if (claims.has(name)) throw refused(['claims'], `${name}: is stated twice`)
    claims.set(name, text.slice(at + 1))
  }
  return Object.fromEntries(claims)
}

/** Whatever is no number is refused with its bounds later on. */
function secondsOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
}

function statedOf<Name extends About>(stated: Stated, names: readonly Name[]): Name[] {
  return names.filter((about) => stated[about] !== undefined)
}

function refused(abouts: readonly Fault['about'][], message: string): ClientRefused {
  return new ClientRefused(
    'invalid',
    abouts.map((about) => ({ about, message })),
  )
}
