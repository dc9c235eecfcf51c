/** How WebCrypto names a key and what is to be done with it. */
type Parameters = { name: string } & Record<string, unknown>

export interface Algorithm {
  kty: 'EC' | 'OKP' | 'RSA'
  crv?: 'P-256' | 'P-384' | 'P-521' | 'Ed25519'
  /** Characters of a coordinate in base64url. */
  length?: number
  importing: Parameters
  verifying: Parameters
}

const ecdsa = (crv: 'P-256' | 'P-384' | 'P-521', hash: string, length: number): Algorithm => ({
  kty: 'EC',
  crv,
  length,
  importing: { name: 'ECDSA', namedCurve: crv },
  verifying: { name: 'ECDSA', hash },
})
const eddsa: Algorithm = {
  kty: 'OKP',
  crv: 'Ed25519',
  length: 43,
  importing: { name: 'Ed25519' },
  verifying: { name: 'Ed25519' },
}
const rsa = (name: string): Algorithm => ({
  kty: 'RSA',
  importing: { name, hash: 'SHA-256' },
  verifying: { name, saltLength: 32 },
})

/** What proofs may be signed with: asymmetric, and each for one kind of key. */
export const ALGORITHMS: ReadonlyMap<unknown, Algorithm> = new Map([
  ['ES256', ecdsa('P-256', 'SHA-256', 43)],
  ['ES384', ecdsa('P-384', 'SHA-384', 64)],
  ['ES512', ecdsa('P-521', 'SHA-512', 88)],
  ['Ed25519', eddsa],
  // The same under its older name (RFC 9864 §2.2). Ed448 had it too, and is not taken.
  ['EdDSA', eddsa],
  ['PS256', rsa('RSA-PSS')],
  ['RS256', rsa('RSASSA-PKCS1-v1_5')],
])

/** As `algs` of a challenge lists them (RFC 9449 §7.1). */
export const ALGS = [...ALGORITHMS.keys()].join(' ')
