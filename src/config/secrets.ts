import { createHmac, hkdfSync } from 'node:crypto'

/**
 * The keys derived from one `CLAVIGER_SECRET`, one for each purpose (HKDF-SHA-256, RFC 5869): no two constructions
 * share a key, so a weakness in one use does not endanger another.
 */
export interface ServerKeys {
  /** First byte of the fingerprint. It names the secret inside refresh tokens, though two secrets may share it. */
  readonly id: number
  /** Names the secret in the database without revealing it. */
  readonly fingerprint: string
  /** Authenticates refresh tokens. */
  readonly refreshTag: Buffer
  /** Derives the secret of a refresh token's successor. */
  readonly refreshNext: Buffer
  /** Authenticates device tokens. */
  readonly deviceTag: Buffer
  /** Seals private signing keys (AES-256-GCM). */
  readonly sealing: Buffer
  /** Hashes identifiers that may be anything a person typed. */
  readonly identifiers: Buffer
  /** Hashes codes of eight digits, which anybody could try out against a plain hash. */
  readonly codes: Buffer
  /** Seals what is to be delivered. */
  readonly outbox: Buffer
  /** Makes nonces for proofs of possession. */
  readonly dpopNonce: Buffer
}

/** Newest first: the first mints and seals, all are accepted. Never empty. */
export type KeyList = readonly [ServerKeys, ...ServerKeys[]]

export function deriveServerKeys(secret: Uint8Array): ServerKeys {
  const derive = (purpose: string, length = 32): Buffer =>
    Buffer.from(hkdfSync('sha256', secret, 'claviger', `claviger/1/${purpose}`, length))
  const fingerprint = derive('fingerprint', 8)
  return {
    id: fingerprint[0] ?? 0,
    fingerprint: fingerprint.toString('hex'),
    refreshTag: derive('refresh-token-tag'),
    refreshNext: derive('refresh-token-next'),
    deviceTag: derive('device-token-tag'),
    sealing: derive('signing-key-sealing'),
    identifiers: derive('identifier-hash'),
    codes: derive('one-time-code'),
    outbox: derive('outbox-sealing'),
    dpopNonce: derive('dpop-nonce'),
  }
}

/** @param secrets newest first. */
export function deriveKeyList([newest, ...older]: readonly [Uint8Array, ...Uint8Array[]]): KeyList {
  return [deriveServerKeys(newest), ...older.map(deriveServerKeys)]
}

/** HMAC-SHA-256 of parts whose lengths are fixed by the caller. */
export function hmac(key: Uint8Array, ...parts: (Uint8Array | string)[]): Buffer {
  const mac = createHmac('sha256', key)
  for (const part of parts) mac.update(part)
  return mac.digest()
}
