/** Bytes that WebCrypto accepts, which excludes those of a SharedArrayBuffer. */
export type Bytes = Uint8Array<ArrayBuffer>

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

export const toUtf8 = (text: string): Bytes => encoder.encode(text)
/** @throws TypeError */
export const fromUtf8 = (bytes: Bytes): string => decoder.decode(bytes)

/** Without `Buffer`, which not every runtime has. */
export function toBase64Url(bytes: Bytes): string {
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/** @returns undefined for anything that `toBase64Url` would not have written. */
export function fromBase64Url(text: string): Bytes | undefined {
  if (!/^[\w-]*$/.test(text) || text.length % 4 === 1) return undefined
  const bytes = Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0))
  return toBase64Url(bytes) === text ? bytes : undefined
}

/** Joins fields of up to 64 KiB, each preceded by its length. */
export function join(fields: readonly Bytes[]): Bytes {
  const joined = new Uint8Array(fields.reduce((sum, field) => sum + 2 + field.length, 0))
  let at = 0
  for (const field of fields) {
    joined.set([field.length >> 8, field.length & 255], at)
    joined.set(field, at + 2)
    at += 2 + field.length
  }
  return joined
}

export function split(joined: Bytes): Bytes[] {
  const fields: Bytes[] = []
  for (let at = 0; at < joined.length; ) {
    const length = ((joined[at] ?? 0) << 8) + (joined[at + 1] ?? 0)
    fields.push(joined.slice(at + 2, at + 2 + length))
    at += 2 + length
  }
  return fields
}
