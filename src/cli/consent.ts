import { EXIT, Failure, refuse } from './exit.ts'
import { confirm, type Io } from './terminal.ts'

/**
 * How a command whose effect cannot be undone asks for consent: at a terminal, and not at all with `--yes`. Called
 * before anything is opened.
 * @throws Failure at once if nobody can be asked. The question throws it if the answer is no.
 */
export function consent(io: Io, yes: boolean): (question: string) => Promise<void> {
  if (yes) return async () => {}
  if (!io.stdin.isTTY) refuse('nobody can be asked here: confirm with --yes')
  return async (question) => {
    if (!(await confirm(io, `${question} Go on?`))) {
      throw new Failure(EXIT.failed, 'not confirmed; nothing was changed')
    }
  }
}
