import { encode, utf8 } from './base64url.ts'
import type { Key } from './key.ts'

interface Claims {
  method: string
  url: URL
  /** Seconds since 1970, by the clock of whoever is asked. */
  iat: number
  nonce: string | undefined
  /** The access token that comes along. */
  token: string | undefined
}

const part = (value: object): string => encode(utf8(JSON.stringify(value)))

/** A proof for one request (RFC 9449 §4.2). `ath` and `nonce` are left out where there are none. */
export async function makeProof(key: Key, { method, url, iat, nonce, token }: Claims): Promise<string> {
  const { alg, jwk } = key
  const claims = {
    // Unique is enough: it is no secret, and React Native has no UUIDs.
    jti: globalThis.crypto?.randomUUID?.() ?? `${Math.random()}${Math.random()}`,
    htm: method,
    htu: url.origin + url.pathname,
    iat,
    ath: token && (await key.hash(token)),
    nonce,
  }
  const text = `${part({ typ: 'dpop+jwt', alg, jwk })}.${part(claims)}`
  return `${text}.${await key.sign(text)}`
}
