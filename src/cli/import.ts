import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { type ImportOutcome, importUsers } from '../users/import.ts'
import { command } from './command.ts'
import { EXIT, Failure } from './exit.ts'
import type { Io } from './terminal.ts'

const LINE_FEED = 10
/** With roles and claims, a line has two kilobytes at most. */
const LONGEST_LINE = 65_536
const MOST_SHOWN = 20

export const importUsersCommand = command({
  name: 'users import',
  usage: '<file|-> [--dry-run] [--skip-existing]',
  summary: 'make the accounts of another system, with its password hashes',
  details: `One JSON object a line: {"email": …, "password_hash": …}, and if wanted id, email_verified, roles, claims, disabled and
created_at; - reads standard input. Hashes are bcrypt, scrypt, PBKDF2 or argon2id; docs/operations.md has the forms, and how
to get there from Auth0, Keycloak, Supabase and Django. Each is replaced by argon2id when its owner signs in.

If a line is at fault, no account is made.

  --dry-run         check everything and make nothing
  --skip-existing   pass over lines whose address or id has an account`,
  takes: [1, 1],
  options: { 'dry-run': { type: 'boolean' }, 'skip-existing': { type: 'boolean' } },
  run: async ({ io, open }, [file = ''], values) => {
    const lines = splitLines(await read(io, file))
    const opened = await open()
    const [dryRun, skipExisting] = [values['dry-run'] ?? false, values['skip-existing'] ?? false]
    const outcome = await importUsers(opened, opened.operation(), lines, { dryRun, skipExisting })
    return {
      json: { imported: dryRun ? 0 : outcome.accounts, ...outcome, dry_run: dryRun },
      text: describe(outcome, dryRun),
      code: outcome.faults.length > 0 ? EXIT.failed : EXIT.ok,
    }
  },
})

async function read(io: Io, file: string): Promise<Buffer> {
  try {
    return file === '-' ? await buffer(io.stdin) : await readFile(file)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    throw new Failure(code === 'ENOENT' ? EXIT.notFound : EXIT.failed, `the file cannot be read (${code})`)
  }
}

/** @throws Failure if a line is too long or not UTF-8: decoding would replace the bad bytes. */
function splitLines(bytes: Buffer): string[] {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const lines: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(LINE_FEED, at)
    const line = bytes.subarray(at, end === -1 ? bytes.length : end)
    const refuse = (why: string): never => {
      throw new Failure(EXIT.failed, `line ${lines.length + 1} ${why}; nothing was imported`)
    }
    if (line.length > LONGEST_LINE) refuse(`has more than ${LONGEST_LINE} bytes`)
    try {
      lines.push(decoder.decode(line))
    } catch {
      refuse('is not UTF-8')
    }
    at += line.length + 1
  }
  return lines
}

function describe({ accounts, skipped, faults }: ImportOutcome, dryRun: boolean): string {
  if (faults.length > 0) {
    const shown = faults.slice(0, MOST_SHOWN).map(({ line, fault }) => `line ${line}: ${fault}`)
    const more = faults.length > MOST_SHOWN ? [`… and ${faults.length - MOST_SHOWN} more; --json has all of them`] : []
    return [...shown, ...more, '', `${count(faults.length, 'line')} at fault; nothing was imported.`].join('\n')
  }
  const passed = skipped > 0 ? ` ${count(skipped, 'line')} passed over.` : ''
  return `${dryRun ? 'Would import' : 'Imported'} ${count(accounts, 'account')}.${passed}`
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
