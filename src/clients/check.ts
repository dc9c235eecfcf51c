import { type Config, settings } from '../config/config.ts'
import { isPlainHttp } from '../config/rules.ts'
import * as values from '../config/values.ts'
import { checkAuth } from './check-auth.ts'
import { ACCOUNT_SCOPE, builtInClients, lifetimesOf, withAccount } from './clients.ts'
import { isClientId } from './identifiers.ts'
import { ClientRefused, type Fault } from './refused.ts'
import type { PublicRegistration, Registration } from './registration.ts'
import { ENOUGH_ROOM, roomForRights } from './room.ts'

const MOST_ITEMS = 50
/** Bounds of a setting apply to a client's own value as well. */
const LIFETIMES = {
  sessionIdleSeconds: settings.SESSION_IDLE_SECONDS,
  sessionMaxSeconds: settings.SESSION_MAX_SECONDS,
  rememberIdleSeconds: settings.REMEMBER_IDLE_SECONDS,
  rememberMaxSeconds: settings.REMEMBER_MAX_SECONDS,
  accessTokenSeconds: settings.ACCESS_TOKEN_SECONDS,
} as const
type Lifetime = keyof typeof LIFETIMES

/**
 * Checks what an operator states about a client, apart from what other clients decide.
 * @returns it in its normal form.
 * @throws ClientRefused naming every fault.
 */
export function checkRegistration(config: Config, input: Registration): Registration {
  const faults = [
    ...nameFaults(input.name),
    ...itemFaults('scopes', input.scopes, values.scope),
    ...itemFaults('audiences', input.audiences, values.audience),
    ...lifetimeFaults(config, input),
    ...(input.type === 'service' ? serviceFaults(config, input) : originFaults(config, input)),
  ]
  // Items that are faulty by themselves would be measured in vain.
  if (faults.length === 0) faults.push(...sizeFaults(config, input))
  if (faults.length > 0) throw new ClientRefused('invalid', faults)
  return {
    ...input,
    ...(input.scopes && { scopes: [...new Set(input.scopes)] }),
    ...(input.audiences && { audiences: [...new Set(input.audiences)] }),
    ...('origins' in input && input.origins ? { origins: [...new Set(input.origins)] } : {}),
  }
}

/** Names and ids are given in the same place, so none may look like the other. Names are told apart without regard to case. */
function nameFaults(name: string): Fault[] {
  const fault = (message: string): Fault[] => [{ about: 'name', message }]
  if (name.trim() !== name || name.normalize('NFC') !== name || /[\p{C}\p{Zl}\p{Zp}]/u.test(name) || name === '')
    return fault('must be text in its normal form (NFC), without control characters or blanks around it')
  if ([...name].length > 100) return fault('must have 100 characters at most')
  if (isClientId(name) || /^cl_/i.test(name)) return fault('must not look like a client_id, which begins with cl_')
  if (name.startsWith('-')) return fault('must not begin with a dash, which begins options')
  return []
}

function itemFaults(
  about: 'scopes' | 'audiences',
  items: string[] | undefined,
  rule: (item: string) => string,
): Fault[] {
  if (items === undefined) return []
  if (items.length > MOST_ITEMS) return [{ about, message: `must be ${MOST_ITEMS} at most` }]
  if (about === 'audiences' && items.length === 0) return [{ about, message: 'must be one or more, or left out' }]
  return items.flatMap((item) => faultOf(about, item, rule))
}

function originFaults(config: Config, { type, origins = [] }: PublicRegistration): Fault[] {
  if (origins.length > MOST_ITEMS) return [{ about: 'origins', message: `must be ${MOST_ITEMS} at most` }]
  const rule = (item: string): string => {
    const origin = type === 'native' ? values.nativeOrigin(item) : values.origin(item)
    if (config.production && isPlainHttp(origin))
      throw new Error('must be https: anybody on the network path could act as a page of a plain http origin')
    return origin
  }
  return origins.flatMap((item) => faultOf('origins', item, rule))
}

function serviceFaults(config: Config, input: Extract<Registration, { type: 'service' }>): Fault[] {
  const faults = input.auth ? checkAuth(config, input.auth) : []
  // It has to fit into a header, beside bodies of any form.
  if (input.statesVisitorAddress && input.auth && input.auth.method !== 'client_secret_basic')
    faults.push({ about: 'statesVisitorAddress', message: 'goes with client_secret_basic' })
  if (input.scopes?.includes(ACCOUNT_SCOPE))
    faults.push({ about: 'scopes', message: `${ACCOUNT_SCOPE}: is for people: a service has no account` })
  return faults
}

function lifetimeFaults(config: Config, input: Registration): Fault[] {
  const stated = input as Partial<Record<Lifetime, number>>
  const faults = (Object.keys(LIFETIMES) as Lifetime[]).flatMap((about) => {
    const value = stated[about]
    return value === undefined ? [] : faultOf(about, String(value), (text) => LIFETIMES[about].parse(text), true)
  })
  if (input.type === 'native' && (input.sessionIdleSeconds ?? input.sessionMaxSeconds) !== undefined) {
    const about = input.sessionIdleSeconds === undefined ? 'sessionMaxSeconds' : 'sessionIdleSeconds'
    faults.push({ about, message: 'is for browser clients: sessions of native ones are always remembered' })
  }
  if (faults.length > 0) return faults
  const usual = lifetimesOf(config)
  const exceeds = (idle: number, most: number) => idle > most
  if (exceeds(stated.sessionIdleSeconds ?? usual.sessionIdle, stated.sessionMaxSeconds ?? usual.sessionMax))
    faults.push({ about: 'sessionIdleSeconds', message: 'must not exceed the longest time of a session' })
  if (exceeds(stated.rememberIdleSeconds ?? usual.rememberIdle, stated.rememberMaxSeconds ?? usual.rememberMax))
    faults.push({ about: 'rememberIdleSeconds', message: 'must not exceed the longest time of a remembered session' })
  return faults
}

/** Every token has all of them unless its client asks for less, and proxies reject long headers. */
function sizeFaults(config: Config, input: Registration): Fault[] {
  const [web] = builtInClients(config)
  if (!web) throw new Error('there is a built-in client')
  const scopes = input.type === 'service' ? (input.scopes ?? []) : withAccount(input.scopes ?? config.SCOPES)
  const longest = { ...web, id: 'cl_'.padEnd(25, '0'), scopes, audiences: input.audiences ?? config.AUDIENCE }
  if (roomForRights(config, [longest]) >= ENOUGH_ROOM) return []
  const about = input.scopes ? 'scopes' : 'audiences'
  return [
    { about, message: 'must be fewer or shorter: access tokens have 4096 bytes at most, roles and claims included' },
  ]
}

/** @param bare the value is a number, which its option names already. */
function faultOf(about: Fault['about'], value: string, rule: (value: string) => unknown, bare = false): Fault[] {
  try {
    rule(value)
    return []
  } catch (error) {
    const { message } = error as Error
    return [{ about, message: bare ? message : `${value}: ${message}` }]
  }
}
