import { base64url, type CryptoKey, importJWK } from 'jose'

export interface HeldKey {
  key: CryptoKey
  /** The modulus as published, which tells whether the key behind a `kid` is still the same. */
  n: string
}

export type HeldKeys = ReadonlyMap<string, HeldKey>

const MAX_KEYS = 50
const BITS = { least: 2048, most: 8192 }

/**
 * Reads the usable keys of a JWK Set (RFC 7517 §5): RSA keys for signatures with RS256. Others are skipped, because a
 * set may serve several purposes.
 * @param previous the set before, whose imported keys are reused if they are the same.
 * @throws Error if there is none, or if it is ambiguous which is meant.
 */
export async function importKeys(document: unknown, previous?: HeldKeys): Promise<HeldKeys> {
  const listed = (document as { keys?: unknown } | null)?.keys
  if (!Array.isArray(listed)) throw new Error('the key set is no JWK Set')
  if (listed.length > MAX_KEYS) throw new Error(`the key set has ${listed.length} keys`)
  const keys = new Map<string, HeldKey>()
  const faults: string[] = []
  for (const jwk of listed as unknown[]) {
    const fit = inspect(jwk)
    if (typeof fit === 'string') {
      faults.push(fit)
      continue
    }
    const { kid, n } = fit
    if (keys.has(kid)) throw new Error(`the key set has two keys with the kid ${JSON.stringify(kid.slice(0, 80))}`)
    const before = previous?.get(kid)
    keys.set(kid, before?.n === n ? before : { n, key: await importKey(n) })
  }
  // Not taken for a withdrawal of all keys, because an issuer that signs has one. The keys at hand stay in use.
  if (keys.size === 0)
    throw new Error(`the key set has no key for RS256${faults.map((fault) => `; ${fault}`).join('')}`)
  return keys
}

async function importKey(n: string): Promise<CryptoKey> {
  return await importJWK({ kty: 'RSA' as const, n, e: 'AQAB' }, 'RS256')
}

/** @returns the key, or why it is not usable. */
function inspect(jwk: unknown): { kid: string; n: string } | string {
  if (typeof jwk !== 'object' || jwk === null) return 'one is no object'
  const { kty, use, alg, key_ops: operations, kid, n, e, d } = jwk as Record<string, unknown>
  if (typeof kid !== 'string' || kid === '') return 'one has no kid'
  if (kty !== 'RSA') return 'one is not RSA'
  // One key, one purpose (RFC 8725 §3.5 of its revision): a key for encryption must not verify signatures.
  if (use !== 'sig') return 'one has no "use": "sig"'
  if (alg !== 'RS256') return 'one has no "alg": "RS256"'
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return 'one is not to verify'
  // The set holds a private key, with which anybody who reads it could sign.
  if (d !== undefined) return 'one is private'
  // With an exponent of 1, anybody can sign. All keys of Claviger have 65537.
  if (e !== 'AQAB') return 'one has an exponent other than 65537'
  const bits = typeof n === 'string' ? modulusBits(n) : 0
  if (bits < BITS.least || bits > BITS.most) return `one has ${bits} bits`
  return { kid, n: n as string }
}

function modulusBits(n: string): number {
  let bytes: Uint8Array
  try {
    bytes = base64url.decode(n)
  } catch {
    return 0
  }
  const first = bytes.findIndex((byte) => byte !== 0)
  return first < 0 ? 0 : (bytes.length - first) * 8 - Math.clz32(bytes[first] ?? 0) + 24
}
