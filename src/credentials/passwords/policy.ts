import { readFileSync } from 'node:fs'
import type { Config } from '../../config/config.ts'
import { Problem } from '../../errors.ts'

/** In code points after NFC. No byte limit is needed beside it: 256 code points are at most 1024 bytes of UTF-8. */
const MAX_LENGTH = 256
const SERVICE_NAME = 'claviger'

/** Read once, when the program starts: about 18,000 lines, see data/README.md. */
const COMMON: ReadonlySet<string> = new Set(
  readFileSync(new URL('../../../data/common-passwords.txt', import.meta.url), 'utf8')
    .split('\n')
    .filter(Boolean),
)

/** The alphabet, the digits, and the rows and columns of keyboards. Any part is refused, in either direction. */
const RUNS = [
  'abcdefghijklmnopqrstuvwxyz',
  '01234567890',
  'qwertyuiopasdfghjklzxcvbnm',
  'qwertzuiopasdfghjklyxcvbnm',
  'azertyuiopqsdfghjklmwxcvbn',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p',
  '1q2w3e4r5t6y7u8i9o0p',
].flatMap((run) => [run, [...run].toReversed().join('')])

/** The form in which passwords are counted, compared and hashed. Canonically equivalent spellings merge; nothing else. */
export function normalisePassword(password: string): string {
  return password.normalize('NFC')
}

/**
 * Whether a password may be set (NIST SP 800-63B-4 §3.1.1.2): it must be long enough, and not one that attackers try
 * first. There are no composition rules. The whole password is compared, so a long one may contain a blocked word.
 * @throws Problem password_too_short, password_too_long, password_blocked; invalid_request for ill-formed text.
 */
export function checkNewPassword(
  config: Pick<Config, 'PASSWORD_MIN_LENGTH' | 'ISSUER'>,
  email: string,
  password: string,
): void {
  // Hashing would turn every lone surrogate into the same U+FFFD, so different passwords would verify as one.
  if (!password.isWellFormed() || password.includes('\0')) {
    throw new Problem('invalid_request', { detail: 'The password is not well-formed text.' })
  }
  const normal = normalisePassword(password)
  const length = [...normal].length
  if (length < config.PASSWORD_MIN_LENGTH) {
    throw new Problem('password_too_short', { detail: `Use at least ${config.PASSWORD_MIN_LENGTH} characters.` })
  }
  if (length > MAX_LENGTH) throw new Problem('password_too_long', { detail: `Use at most ${MAX_LENGTH} characters.` })
  const why = blockedBecause(foldCase(normal), contextWords(config.ISSUER, email))
  if (why) throw new Problem('password_blocked', { detail: why })
}

function blockedBecause(candidate: string, context: ReadonlySet<string>): string | undefined {
  if (COMMON.has(candidate)) return 'It is one of the most common passwords.'
  if (context.has(candidate)) return 'It is the name of this service, of its host, or of the account.'
  if (isRun(candidate)) return 'It is a simple sequence of characters.'
  const unit = repeatedUnit(candidate)
  if (unit === candidate) return undefined
  const guessable = [...unit].length <= 4 || COMMON.has(unit) || context.has(unit) || isRun(unit)
  return guessable ? 'It repeats a few characters or a word that is easy to guess.' : undefined
}

/** Part of a keyboard run, or code points that ascend or descend by one. */
function isRun(candidate: string): boolean {
  if (RUNS.some((run) => run.includes(candidate))) return true
  const points = [...candidate].map((character) => character.codePointAt(0) ?? 0)
  const step = (points[1] ?? 0) - (points[0] ?? 0)
  return Math.abs(step) === 1 && points.every((point, i) => i === 0 || point - (points[i - 1] ?? 0) === step)
}

/** The shortest text whose repetition gives the candidate; the candidate itself if there is none. */
function repeatedUnit(candidate: string): string {
  return candidate.slice(0, (candidate + candidate).indexOf(candidate, 1))
}

/** Words that an attacker would derive from public facts: the service, its host, the account. */
function contextWords(issuer: string, email: string): ReadonlySet<string> {
  const { host, hostname } = new URL(issuer)
  const [local = '', domain = ''] = email.split('@')
  const words = [SERVICE_NAME, issuer, host, email, local]
  for (const name of [hostname, domain]) {
    const labels = name.split('.')
    words.push(...labels, ...labels.map((_, i) => labels.slice(i).join('.')), labels.join(''))
  }
  return new Set(words.filter(Boolean).map(foldCase))
}

/** Normalises again, because lower-casing can undo NFC, which the list is in. */
function foldCase(text: string): string {
  return text.toLowerCase().normalize('NFC')
}
