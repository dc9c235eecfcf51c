/** 256 bits: with fewer, somebody who holds a refresh token could guess the secret offline and forge tokens. */
const BYTES = 32
const HEX = /^([0-9a-f]{2})+$/i
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/

/** Base64 (standard or URL-safe) or hexadecimal, comma-separated, newest first. */
export function serverSecrets(value: string): [Buffer, ...Buffer[]] {
  const faults: string[] = []
  const secrets = value.split(',').flatMap((item, index) => {
    try {
      return [readSecret(item)]
    } catch (error) {
      faults.push(`entry ${index + 1} ${(error as Error).message}`)
      return []
    }
  })
  if (faults.length > 0) throw new Error(faults.join('; '))
  if (new Set(secrets.map((secret) => secret.toString('hex'))).size !== secrets.length)
    throw new Error('names an entry twice')
  return secrets as [Buffer, ...Buffer[]]
}

function readSecret(item: string): Buffer {
  // White space is dropped, because tools wrap long lines. But two secrets without a comma must not become one.
  const pieces = item.trim().split(/\s+/)
  if (pieces.filter((piece) => bytesOf(piece).length >= BYTES).length > 1) {
    throw new Error('is two secrets or more: write a comma between them, and each on one line')
  }
  const text = pieces.join('')
  const bytes = bytesOf(text)
  if (bytes.length < BYTES) throw new Error('must be at least 32 random bytes in base64 (openssl rand -base64 32)')
  const flaw = flawOf(bytes, text)
  if (flaw !== undefined) throw new Error(`is not random: ${flaw}. Make one with openssl rand -base64 32`)
  return bytes
}

function bytesOf(text: string): Buffer {
  if (HEX.test(text)) return Buffer.from(text, 'hex')
  return BASE64.test(text) ? Buffer.from(text, 'base64') : Buffer.alloc(0)
}

/**
 * Why a secret looks made up by a person. A random one is refused with a probability below 2 · 10^-12: each test states
 * how likely 32 random bytes are to fail it; more bytes are even less likely to.
 */
function flawOf(bytes: Buffer, text: string): string | undefined {
  const counts = countsOf(bytes)
  // C(256, 11) · (11 / 256)^32 < 10^-24, and 256 · C(32, 16) · 256^-16 < 10^-27.
  if (counts.size < 12 || Math.max(...counts.values()) >= bytes.length / 2) return 'it has few different bytes'
  if (repeatsOrCounts([...bytes], 256)) return 'it repeats itself, or counts'
  if (!HEX.test(text) && repeatsOrCounts(sextets(text), 64)) return 'it repeats itself, or counts'
  // Base64: 2 · (29 / 64)^43 < 10^-14. Hexadecimal: (10 / 16)^64 < 10^-13.
  if (/^([a-z_+/-]+|[A-Z_+/-]+|\d+)=*$/.test(text)) return 'it is made of letters of one case, or of digits'
  // Eight letters in one of three ways, at 36 places: 108 · 64^-8 < 4 · 10^-13 each.
  if (/changeme|ChangeMe|CHANGEME|password|Password|PASSWORD|placeholder|PLACEHOLDER/.test(text))
    return 'it has a word in it'
  if (isText(bytes)) return 'it is the encoded form of something that can be read'
  return undefined
}

function countsOf(values: Iterable<number>): Map<number, number> {
  const counts = new Map<number, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}

function sextets(text: string): number[] {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  return [...text.replaceAll('-', '+').replaceAll('_', '/').replace(/=+$/, '')].map((letter) =>
    alphabet.indexOf(letter),
  )
}

/**
 * Whether each value follows from an earlier one: there are few different steps between values some distance apart, as
 * in a counter of any width and step and in a repeated block, or the steps themselves grow evenly.
 *
 * Steps between random values are just as random. The fewest steps are the likeliest to fail: that 16 steps take at
 * most 4 of 256 values, C(256, 4) · (4 / 256)^16 < 10^-20; in base64, that 21 take 5 of 64, C(64, 5) · (5 / 64)^21 <
 * 10^-16.
 */
function repeatsOrCounts(values: readonly number[], modulus: number): boolean {
  const stepsOver = (list: readonly number[], distance: number) =>
    list.slice(distance).map((value, index) => (value - (list[index] ?? 0) + modulus) % modulus)
  const fewOf = (steps: readonly number[]) => new Set(steps).size <= steps.length / 4
  for (let distance = 1; distance <= values.length / 2; distance++) {
    if (fewOf(stepsOver(values, distance))) return true
  }
  return fewOf(stepsOver(stepsOver(values, 1), 1))
}

/**
 * Whether the bytes are readable text: all ASCII, (98 / 256)^32 < 10^-13; or UTF-8 of which four characters in five are
 * letters and spaces, counted over all assigned code points: < 3 · 10^-13.
 */
function isText(bytes: Buffer): boolean {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return false
  }
  if (!/^[\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}\t\r\n]+$/u.test(text)) return false
  if (isEncodedSecret(text.trim())) return false
  const characters = [...text]
  const letters = characters.filter((character) => /[\p{L}\p{M}\p{Zs}]/u.test(character))
  return bytes.length === characters.length || letters.length >= 0.8 * characters.length
}

/** A random secret that was encoded twice is still random. Base64 of 32 bytes ends with =, unlike any sentence. */
function isEncodedSecret(text: string): boolean {
  if (!HEX.test(text) && !/^[A-Za-z0-9+/]+={1,2}$/.test(text)) return false
  const bytes = bytesOf(text)
  return bytes.length >= BYTES && flawOf(bytes, text) === undefined
}
