import { createHash, type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import type { KeyState } from '../db/schema.ts'
import { Problem } from '../errors.ts'
import { encodedLength, headerOf, JWT_TYPES, type JwtType, lengthOfJwt } from './jwt.ts'
import type { KeyMaterial } from './material.ts'

/** The keys in memory: the one that signs, and those to verify with. They survive an outage of the database. */
export interface Keyring {
  /** Signs a JWT with the active key, off the event loop. @throws Problem `unavailable` while there is no active key. */
  sign(typ: JwtType, claims: object): Promise<string>
  /** The same for claims that are JSON already; large ones are not copied more often than necessary. */
  signBytes(typ: JwtType, claims: Buffer): Promise<Buffer>
  /** Length in bytes of the JWT that `sign` would make. @throws Problem as `sign` does. */
  lengthOf(typ: JwtType, claims: object): number
  /** The key with this `kid`, if it is ours and not removed. Looks in memory only: an unknown `kid` costs no query. */
  publicKey(kid: string): KeyObject | undefined
  /** The JWK Set (RFC 7517 §5) as it is sent, with its strong ETag. */
  jwks(): { body: Buffer; etag: string }
  /** Whether there is an active key to sign with. */
  ready(): boolean
}

export interface HeldKey extends KeyMaterial {
  state: Exclude<KeyState, 'removed'>
}

/** Active first, for simple verifiers that take the first key. */
const ORDER = { active: 0, next: 1, retiring: 2 } as const

const signOffLoop = promisify<string, Buffer, KeyObject, Buffer>(sign)

/**
 * An empty keyring, and `hold`, the only way to change its keys. What requests need is computed at that moment, so that a
 * request only signs or looks up.
 */
export function createKeyring(): { keyring: Keyring; hold(keys: readonly HeldKey[]): void } {
  let held = arrange([])
  const signBytes: Keyring['signBytes'] = async (typ, claims) => {
    const signer = signerOf(held)
    const head = `${signer.headers[typ]}.`
    // Of many megabytes, this is kept outside V8's heap; put together with anything else it would not be.
    const payload = claims.toString('base64url')
    const signed = head.length + payload.length
    const jwt = Buffer.allocUnsafe(signed + 1 + encodedLength(signer.bits / 8))
    jwt.write(head, 'latin1')
    jwt.write(payload, head.length, 'latin1')
    const signature = await signOffLoop('RSA-SHA256', jwt.subarray(0, signed), signer.privateKey)
    jwt.write(`.${signature.toString('base64url')}`, signed, 'latin1')
    return jwt
  }
  const keyring: Keyring = {
    sign: async (typ, claims) => {
      const signer = signerOf(held)
      const input = `${signer.headers[typ]}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`
      const signature = await signOffLoop('RSA-SHA256', Buffer.from(input), signer.privateKey)
      return `${input}.${signature.toString('base64url')}`
    },
    signBytes,
    lengthOf: (typ, claims) => lengthOfJwt(typ, claims, signerOf(held).bits),
    publicKey: (kid) => held.publicKeys.get(kid),
    jwks: () => held.jwks,
    ready: () => held.signer !== undefined,
  }
  return { keyring, hold: (keys) => void (held = arrange(keys)) }
}

function signerOf({ signer }: ReturnType<typeof arrange>) {
  if (!signer) throw new Problem('unavailable', { reason: 'no signing key', retryAfter: 5 })
  return signer
}

function arrange(keys: readonly HeldKey[]) {
  // The same keys give the same bytes on every replica, and so the same ETag.
  const ordered = keys.toSorted((a, b) => ORDER[a.state] - ORDER[b.state] || (a.kid < b.kid ? -1 : 1))
  const active = ordered.find((key) => key.state === 'active')
  const body = Buffer.from(JSON.stringify({ keys: ordered.map((key) => key.jwk) }))
  return {
    signer: active && {
      privateKey: active.privateKey,
      // Constant for the life of the key; assembling it per token would cost as much as the rest of the token.
      headers: Object.fromEntries(JWT_TYPES.map((typ) => [typ, headerOf(typ, active.kid)])) as Record<JwtType, string>,
      bits: active.publicKey.asymmetricKeyDetails?.modulusLength ?? 0,
    },
    publicKeys: new Map(ordered.map((key) => [key.kid, key.publicKey])),
    jwks: { body, etag: etagOf(body) },
  }
}

/** A strong entity tag (RFC 9110 §8.8.3): it differs whenever the bytes do. */
export function etagOf(body: Buffer): string {
  return `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`
}
