import type { RevocationInitiator, RevocationKind } from '../db/schema.ts'

/** A revocation that has its number. */
export interface Entry {
  seq: number
  kind: RevocationKind
  sid: string | null
  sub: string | null
  kid: string | null
  initiator: RevocationInitiator
  revokedAt: Date
  expiresAt: Date
}

/** Where a reader is. `seq` is the last number that it has. */
export interface Position {
  epoch: string
  seq: number
}

/** The epoch is 128 bits in base64url; numbers have one spelling. */
export const POSITION = '^[A-Za-z0-9_-]{22}\\.(0|[1-9][0-9]{0,14})$'
const POSITION_PATTERN = new RegExp(POSITION)

/** @returns undefined if it is no position. */
export function parsePosition(text: string): Position | undefined {
  if (!POSITION_PATTERN.test(text)) return undefined
  const [epoch = '', seq = ''] = text.split('.')
  return { epoch, seq: Number(seq) }
}

export function formatPosition({ epoch, seq }: Position): string {
  return `${epoch}.${seq}`
}

/** NumericDate (RFC 7519 §2): never later than the moment itself. */
export function seconds(at: Date): number {
  return Math.floor(at.getTime() / 1000)
}

/** As verifiers read it: what is revoked, by one of four names. Undefined for what ends nothing by itself. */
export function claimsOf({ seq, kind, sid, sub, kid, revokedAt, expiresAt }: Entry): object | undefined {
  const times = { revoked_at: seconds(revokedAt), expires_at: seconds(expiresAt) + 1 }
  switch (kind) {
    case 'session':
      return { seq, sid, ...times }
    case 'subject':
      return { seq, sub, ...times }
    case 'key':
      return { seq, kid, ...times }
    case 'all':
      return { seq, all: true, ...times }
    case 'credential':
      return undefined
    default:
      return kind satisfies never
  }
}
