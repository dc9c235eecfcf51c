import { exportUsers } from '../users/export.ts'
import { count } from './account-view.ts'
import { command } from './command.ts'
import { EXIT, refuse } from './exit.ts'
import { type Io, printable } from './terminal.ts'
import { writeWholeFile } from './whole-file.ts'

export const exportUsersCommand = command({
  name: 'users export',
  usage: '<file|-> [--with-password-hashes]',
  summary: 'write all accounts as “users import” takes them',
  details: `One JSON object a line: “claviger users import --help” has its members. The file must not be there yet, and has its name once
it is whole; - writes to standard output, where only the exit code tells whether all of it came.

  --with-password-hashes   hashes can be guessed at: keep them from others, and delete them when they have been read. A password
                           that is refused at present, or waits for the address to be verified, is left out`,
  takes: [1, 1],
  options: { 'with-password-hashes': { type: 'boolean' } },
  run: async ({ io, open }, [target = ''], values) => {
    const passwordHashes = values['with-password-hashes'] ?? false
    const toTerminal = target === '-' && io.stdout.isTTY === true
    if (toTerminal && passwordHashes)
      refuse('hashes are not shown on a terminal, which may keep what it shows: name a file')
    const opened = await open()
    const run = (write: (lines: string) => Promise<void>) =>
      exportUsers(opened, opened.operation(), { passwordHashes }, write)
    const { accounts, withheld } = await (target === '-'
      ? run((lines) => print(io.stdout, toTerminal ? lines.split('\n').map(printable).join('\n') : lines))
      : writeWholeFile(target, run))
    const without = withheld > 0 ? ` ${count(withheld, 'password')} left out.` : ''
    const text = `Exported ${count(accounts, 'account')}, with${passwordHashes ? '' : 'out'} password hashes.${without}`
    if (target !== '-') return { json: { exported: accounts, withheld, file: target }, text }
    io.stderr.write(`${text}\n`)
    return { json: undefined, text: '' }
  },
})

/** A reader that has closed the pipe is no error of other commands, whose output ends where it was enough. */
function print(stdout: Io['stdout'], text: string): Promise<void> {
  return new Promise((written, failed) => {
    stdout.write(text, (error) => {
      if (!error) return written()
      process.exitCode = EXIT.failed
      failed(error)
    })
  })
}
