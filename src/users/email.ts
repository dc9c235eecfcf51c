import { domainToASCII, domainToUnicode } from 'node:url'
import { Problem } from '../errors.ts'

/**
 * Letters that case mapping turns into ASCII ones: dotted and dotless i, long s, the Kelvin sign. An address with one of
 * them was once enough to receive the reset link of somebody else's account, so they are refused wherever they stand.
 */
const CASE_TRAPS = /[\u0130\u0131\u017f\u212a]/
/** Separators of address lists, quoting, and everything a header or a log line would take for structure. */
const FORBIDDEN = /[\s\p{Cc}\p{Cf}\p{Cs},;<>"]/u
/** dot-atom of RFC 5322 §3.2.3. Quoted local parts are not supported. */
const LOCAL = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/
/** Two labels or more (RFC 1123 §2.1), the last not a number: an IP address is no mail domain. */
const DOMAIN = /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+(?!\d+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/**
 * The one form of an e-mail address that is stored, looked up and counted under: local part in lower-case ASCII, domain
 * as lower-case A-labels. Two inputs that yield the same form are the same account; nothing is trimmed or guessed.
 * @throws Problem invalid_email. Depends on the syntax alone, never on whether an account exists.
 */
export function normaliseEmail(input: string): string {
  if (input.length > 254) refuse('It is longer than 254 octets.')
  if (FORBIDDEN.test(input) || CASE_TRAPS.test(input)) refuse('It contains a character that is not allowed.')
  const parts = input.split('@')
  if (parts.length !== 2) refuse('It needs exactly one @.')
  const [rawLocal = '', rawDomain = ''] = parts
  const local = asciiLowerCase(rawLocal)
  if (local.length > 64 || !LOCAL.test(local)) refuse('The part before the @ is not acceptable.')
  const email = `${local}@${normaliseDomain(rawDomain)}`
  if (email.length > 254) refuse('It is longer than 254 octets.')
  return email
}

function normaliseDomain(input: string): string {
  const ascii = domainToASCII(input)
  if (ascii.length > 253 || !DOMAIN.test(ascii)) refuse('The part after the @ is not a domain name.')
  // UTS 46 maps full-width letters, ideographic dots and "0x7f" onto plain ASCII. What is not the same name when read
  // back was a look-alike of another domain.
  const typed = input.normalize('NFC').toLowerCase()
  if (typed !== ascii && typed !== domainToUnicode(ascii))
    refuse('The part after the @ is not written in its normal form.')
  return ascii
}

/** `toLowerCase` knows more letters than an address may have. */
function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

function refuse(detail: string): never {
  throw new Problem('invalid_email', { detail })
}
