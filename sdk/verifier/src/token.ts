import { checkSpelling, type Kind, readKid } from './jws.ts'

const ACCESS_TOKEN: Kind = {
  name: 'token',
  typ: 'at+jwt',
  // A media type (RFC 7515 §4.1.9): its case does not matter, and "application/" may be left out.
  isType: (typ) => typ === 'at+jwt' || (typeof typ === 'string' && /^(application\/)?at\+jwt$/i.test(typ)),
  // The issuer makes no token longer than 4 KiB. Longer text than this is refused by its length alone.
  maxLength: 8192,
}

/**
 * The `kid` of headers that have been read, by their encoded text. All tokens of one key have the same header, so a few
 * are enough. Forged tokens may push one out, which then only has to be read again.
 */
export type KnownHeaders = Map<string, string>
const MAX_KNOWN = 16

/**
 * Checks what can be checked without a key, cheap checks first.
 * @returns the `kid`.
 * @throws VerificationError
 */
export function readHeader(token: string, known: KnownHeaders): string {
  const encoded = checkSpelling(token, ACCESS_TOKEN)
  let kid = known.get(encoded)
  if (kid === undefined) {
    kid = readKid(encoded, ACCESS_TOKEN)
    if (known.size >= MAX_KNOWN) known.clear()
    known.set(encoded, kid)
  }
  return kid
}
