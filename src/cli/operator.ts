import { refuse } from './exit.ts'

/** A name that can be printed as it is, without characters that move the cursor or change the direction of text. */
const NAME = /^(?!\p{Z})[^\p{C}\p{Zl}\p{Zp}]{1,64}(?<!\p{Z})$/u

/**
 * The name of the operator, for the audit trail. It is not verified, because anybody who can run commands can also
 * write to the database directly.
 * @param as the option `--as`.
 * @param systemUser returns the name of the system's user; throws if the user id has no name, as in a container.
 */
export function operatorName(as: string | undefined, systemUser: () => string): string {
  if (as !== undefined)
    return NAME.test(as) ? as : refuse('--as takes a name of 1 to 64 characters, without control characters')
  try {
    const name = systemUser()
    if (NAME.test(name)) return name
  } catch {
    // The user id has no name.
  }
  return `uid ${process.getuid?.() ?? 'unknown'}`
}
