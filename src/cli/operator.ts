import { refuse } from './exit.ts'

/** What can stand in a line of a report as it is: nothing that moves the cursor or turns the direction of the text. */
const NAME = /^(?!\p{Z})[^\p{C}\p{Zl}\p{Zp}]{1,64}(?<!\p{Z})$/u

/**
 * Who works at the command line, for the audit trail. Said, not proved: whoever gets here can write to the database as well.
 * @param as the option `--as`.
 * @param systemUser names the user of this system; throws where the number that runs this has no name, as in a container.
 */
export function operatorName(as: string | undefined, systemUser: () => string): string {
  if (as !== undefined)
    return NAME.test(as) ? as : refuse('--as takes a name of 1 to 64 characters, without control characters')
  try {
    const name = systemUser()
    if (NAME.test(name)) return name
  } catch {
    // The number is all that there is.
  }
  return `uid ${process.getuid?.() ?? 'unknown'}`
}
