/** Types of the JWTs that are signed here, so that none passes for another (RFC 8725 §3.11). */
export const JWT_TYPES = ['at+jwt', 'revocations+jwt', 'secevent+jwt', 'token-introspection+jwt'] as const
export type JwtType = (typeof JWT_TYPES)[number]

/** Length of a `kid`, which is an RFC 7638 thumbprint. */
const KID_LENGTH = 43

/** The encoded JOSE header. */
export function headerOf(typ: JwtType, kid: string): string {
  return Buffer.from(JSON.stringify({ alg: 'RS256', typ, kid })).toString('base64url')
}

/** Length in bytes of a JWT in compact form (RFC 7515 §3.1). @param bits size of the key that signs it. */
export function lengthOfJwt(typ: JwtType, claims: object, bits: number): number {
  const header = headerOf(typ, '-'.repeat(KID_LENGTH)).length
  const payload = encodedLength(Buffer.byteLength(JSON.stringify(claims)))
  return header + 1 + payload + 1 + encodedLength(bits / 8)
}

/** Length in base64url without padding. */
export function encodedLength(bytes: number): number {
  return Math.ceil((bytes * 4) / 3)
}
