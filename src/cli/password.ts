import type { Config } from '../config/config.ts'
import { createPasswordHasher, type PasswordHasher } from '../credentials/passwords/hasher.ts'
import { EXIT, Failure } from './exit.ts'
import { ask, type Io } from './terminal.ts'

/** More than the longest password and its line ending. */
const LONGEST_LINE = 4096
const LINE_FEED = 10

/**
 * Reads a new password: typed twice and hidden at a terminal, otherwise the first line of standard input, in UTF-8. It
 * is never an argument, which others could read in the shell's history and the list of processes.
 * @throws Failure if it is empty or not valid text: decoding would replace the bad bytes by U+FFFD, so that any other
 * bad bytes in their place would open the account too.
 */
export async function newPassword(io: Io): Promise<string> {
  if (!io.stdin.isTTY) {
    const line = decode(await firstLine(io.stdin))
    if (!line)
      throw new Failure(EXIT.usage, 'no password: give it as the first line of standard input, or use --no-password')
    return line
  }
  const [password, again] = await ask(io, ['Password: ', 'Once more: '], true)
  if (password !== again) throw new Failure(EXIT.failed, 'the two passwords differ; nothing was changed')
  if (!password) throw new Failure(EXIT.failed, 'the password is empty; nothing was changed')
  // Bytes from the terminal that are not UTF-8 have become this character.
  if (password.includes('\ufffd')) refuse('the terminal does not send UTF-8, or the password has the character U+FFFD')
  return checked(password)
}

export function hasherOf({ ARGON2_MEMORY_KIB: memoryKib, ARGON2_PASSES: passes }: Config): PasswordHasher {
  return createPasswordHasher({ memoryKib, passes, concurrency: 1, queue: 1 })
}

async function firstLine(stdin: Io['stdin']): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const piece of stdin) {
    const chunk = Buffer.from(piece)
    const end = chunk.indexOf(LINE_FEED)
    chunks.push(end === -1 ? chunk : chunk.subarray(0, end))
    length += chunk.length
    if (end !== -1) break
    if (length > LONGEST_LINE) refuse(`the first line of standard input has more than ${LONGEST_LINE} bytes`)
  }
  return Buffer.concat(chunks)
}

/** Drops the byte order mark and the carriage return that other systems write. */
function decode(line: Buffer): string {
  try {
    return checked(new TextDecoder('utf-8', { fatal: true }).decode(line).replace(/\r$/, ''))
  } catch (error) {
    if (error instanceof Failure) throw error
    return refuse('the password on standard input is not UTF-8')
  }
}

/** Refuses the zero character, as `/register` does. */
function checked(password: string): string {
  return password.includes('\0') ? refuse('the password has a zero character') : password
}

function refuse(why: string): never {
  throw new Failure(EXIT.failed, `${why}; nothing was changed`)
}
