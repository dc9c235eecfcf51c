import { domainToASCII, domainToUnicode } from 'node:url'
import { Problem } from '../errors.ts'

/**
 * Letters that case mapping turns into ASCII: dotted and dotless i, long s, the Kelvin sign. In other software, an
 * address with one of them was enough to receive the reset link of somebody else's account, so they are refused
 * anywhere.
 */
const CASE_TRAPS = /[\u0130\u0131\u017f\u212a]/
/** Separators of address lists, quotes, and whatever could break the structure of a header or a log line. */
const FORBIDDEN = /[\s\p{Cc}\p{Cf}\p{Cs},;<>"]/u
/** dot-atom of RFC 5322 §3.2.3. Quoted local parts are not supported. */
const LOCAL = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/
/** Two labels or more (RFC 1123 §2.1). The last is not a number, because an IP address is not a mail domain. */
const DOMAIN = /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+(?!\d+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/**
 * The canonical form of an e-mail address, under which it is stored, looked up and counted: the local part in
 * lower-case ASCII, the domain as lower-case A-labels. Inputs with the same form mean the same account. Nothing is
 * trimmed or guessed.
 * @throws Problem invalid_email, which depends on the syntax alone, never on whether an account exists.
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
  // UTS 46 maps full-width letters, ideographic dots and "0x7f" to plain ASCII. A name that changes by the mapping is a
  // look-alike of another domain, so it is refused.
  const typed = input.normalize('NFC').toLowerCase()
  if (typed !== ascii && typed !== domainToUnicode(ascii))
    refuse('The part after the @ is not written in its normal form.')
  return ascii
}

/** `toLowerCase` would also map letters that are not ASCII. */
function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

function refuse(detail: string): never {
  throw new Problem('invalid_email', { detail })
}
