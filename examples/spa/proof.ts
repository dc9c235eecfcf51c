import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'

/** What a phone keeps in its hardware: there the private key can sign, and nobody can read it. */
export interface Key {
  privateKey: KeyObject
  /** Goes along with every proof. */
  publicJwk: object
}

export function makeKey(): Key {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { privateKey, publicJwk: publicKey.export({ format: 'jwk' }) }
}

/**
 * A proof for one request (RFC 9449 §4.2), the value of its header DPoP.
 * @param url as clients know the server, without query
 * @param about the access token that goes along, and what the server has sent as DPoP-Nonce
 */
export function makeProof(
  { privateKey, publicJwk }: Key,
  method: string,
  url: string,
  { accessToken, nonce }: { accessToken?: string; nonce?: string } = {},
): string {
  const claims = {
    jti: randomUUID(),
    htm: method,
    htu: url,
    iat: Math.floor(Date.now() / 1000),
    ...(accessToken ? { ath: createHash('sha256').update(accessToken).digest('base64url') } : {}),
    ...(nonce ? { nonce } : {}),
  }
  const text = `${encode({ typ: 'dpop+jwt', alg: 'ES256', jwk: publicJwk })}.${encode(claims)}`
  const signature = sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
