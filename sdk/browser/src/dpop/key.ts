import type { DpopKey } from '../types.ts'
import { encode, utf8 } from './base64url.ts'
import { sharedKeyPair } from './key-store.ts'

/** A key that proofs are signed with. */
export interface Key {
  alg: string
  /** Only what the thumbprint is of. */
  jwk: Record<string, string>
  /** Thumbprint by RFC 7638, with SHA-256. */
  jkt: string
  /** @returns in base64url. */
  sign(text: string): Promise<string>
  /** SHA-256 in base64url. */
  hash(text: string): Promise<string>
}

/** The members that are hashed (RFC 7638 §3.2, RFC 8037 §2), in their order. Those of private keys are not among them. */
const MEMBERS = ['crv', 'e', 'kty', 'n', 'x', 'y'] as const

async function toKey(own: DpopKey): Promise<Key> {
  const digest = async (bytes: Uint8Array) =>
    own.sha256?.(bytes) ?? new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>))
  const hash = async (text: string) => encode(await digest(utf8(text)))
  const given = await own.publicJwk()
  const jwk = Object.fromEntries(MEMBERS.flatMap((name) => (given[name] ? [[name, given[name]]] : [])))
  const jkt = await hash(JSON.stringify(jwk))
  return { alg: own.alg ?? 'ES256', jwk, jkt, hash, sign: async (text) => encode(await own.sign(utf8(text))) }
}

/**
 * @param own functions of the caller's, instead of a key in IndexedDB.
 * @returns what reads the key anew, from where all tabs have it or from the caller.
 */
export function keySource(name: string, own?: DpopKey): () => Promise<Key> {
  if (own) return () => toKey(own)
  return async () => {
    const { publicKey, privateKey } = await sharedKeyPair(name)
    const algorithm = { name: 'ECDSA', hash: 'SHA-256' }
    return toKey({
      publicJwk: () => crypto.subtle.exportKey('jwk', publicKey),
      sign: async (bytes) =>
        new Uint8Array(await crypto.subtle.sign(algorithm, privateKey, bytes as Uint8Array<ArrayBuffer>)),
    })
  }
}
