import { quote } from '../errors.ts'

/** `typ` of the list and of heartbeats. */
export const LIST_TYPE = 'revocations+jwt'
/** `typ` of a security event token (RFC 8417). */
export const EVENT_TYPE = 'secevent+jwt'

/** What was revoked. Times are seconds since the epoch. */
export interface Entry {
  seq: number
  /**
   * `sid`: all tokens of a session. `kid`: all that a key has signed. `sub`: those of a user or service that were issued
   * until `revokedAt`. `all`: everybody's, until then.
   */
  kind: 'sid' | 'sub' | 'kid' | 'all'
  value: string
  revokedAt: number
  /** From then on every token that it means has expired, whatever clocks say within their tolerance. */
  expiresAt: number
}

/** The list, a part of it, or a heartbeat: of what the issuer had revoked by `iat`, which is everything up to `seq`. */
export interface Statement {
  epoch: string
  seq: number
  iat: number
  /** Nothing is missing that has a larger number than this, up to the last entry; or up to `seq`, where there are none. */
  after: number
  /** Seconds after which it is worth asking again. */
  ttl: number
  entries: Entry[]
}

/** One revocation, as the stream tells it. */
export interface SecurityEvent {
  epoch: string
  seq: number
  /** undefined: an event that ends no token, such as another password. */
  entry: Entry | undefined
}

type Json = Record<string, unknown>

const TTL = { least: 1, default: 2, most: 60 }
const KINDS = ['sid', 'sub', 'kid', 'all'] as const
/** The name of a sequence of numbers. Short, as it goes into headers and addresses. */
const EPOCH = /^[A-Za-z0-9_-]{1,64}$/

/** @param claims of a JWS with the type of the list. @throws Error that says what is wrong. */
export function readStatement(claims: Json, issuer: string): Statement {
  const { epoch, iat } = readCommon(claims, issuer)
  const seq = readSeq(claims.seq)
  const after = readSeq(claims.after, 'after')
  if (after > seq) throw wrong('after', after)
  const { ttl = TTL.default, revocations } = claims
  if (!isTime(ttl)) throw wrong('ttl', ttl)
  if (!Array.isArray(revocations)) throw wrong('revocations', revocations)
  const entries = revocations.map(readEntry)
  const beyond = entries.find((entry) => entry.seq > seq)
  if (beyond) throw wrong('seq', seq)
  return { epoch, seq, after, iat, ttl: Math.min(TTL.most, Math.max(TTL.least, ttl)), entries }
}

/** @param claims of a JWS with the type of an event. @throws Error that says what is wrong. */
export function readEvent(claims: Json, issuer: string): SecurityEvent {
  const { epoch } = readCommon(claims, issuer)
  const { events, revocation, seq } = claims
  // RFC 8417 §2.2. What ends tokens stands in our own claim, whatever the event is called.
  if (!isObject(events) || Object.keys(events).length === 0) throw wrong('events', events)
  if (revocation === undefined) return { epoch, seq: readSeq(seq), entry: undefined }
  const entry = readEntry(revocation)
  return { epoch, seq: entry.seq, entry }
}

/** The `id:` of an event names its place, and so does what is signed. Only the latter counts, but they must agree. */
export function checkId(id: string | undefined, { epoch, seq }: { epoch: string; seq: number }): void {
  if (id !== `${epoch}.${seq}`) throw new Error(`the id ${quote(id)} is not that of the message`)
}

function readCommon({ iss, epoch, iat }: Json, issuer: string): { epoch: string; iat: number } {
  if (iss !== issuer) throw wrong('iss', iss)
  if (typeof epoch !== 'string' || !EPOCH.test(epoch)) throw wrong('epoch', epoch)
  if (!isTime(iat)) throw wrong('iat', iat)
  return { epoch, iat }
}

/** An entry of a kind that is not known here is a fault: to pass over it would be to miss a revocation. */
function readEntry(value: unknown): Entry {
  if (!isObject(value)) throw wrong('revocation', value)
  const { seq, revoked_at: revokedAt, expires_at: expiresAt } = value
  const [kind, another] = KINDS.filter((each) => Object.hasOwn(value, each))
  if (kind === undefined || another !== undefined) throw wrong('revocation', value)
  const named = value[kind]
  if (kind === 'all' ? named !== true : typeof named !== 'string' || named === '') throw wrong(kind, named)
  if (!isTime(revokedAt)) throw wrong('revoked_at', revokedAt)
  if (!isTime(expiresAt)) throw wrong('expires_at', expiresAt)
  return { seq: readSeq(seq), kind, value: String(named), revokedAt, expiresAt }
}

function readSeq(value: unknown, name = 'seq'): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw wrong(name, value)
  return value as number
}

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
const isTime = (value: unknown): value is number =>
  typeof value === 'number' && Math.abs(value) <= Number.MAX_SAFE_INTEGER

function wrong(name: string, value: unknown): Error {
  return new Error(`${name} cannot be ${quote(value)}`)
}
