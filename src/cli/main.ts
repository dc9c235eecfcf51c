#!/usr/bin/env node
// oxlint-disable-next-line import/no-unassigned-import -- its effect must come before all other imports
import '../threads.ts'
import { userInfo } from 'node:os'
import { parseArgs } from 'node:util'
import { clientCommands } from './clients.ts'
import type { Answer, Command, Context, Sources } from './command.ts'
import { configCommands } from './config.ts'
import { doctorCommands } from './doctor/doctor.ts'
import { EXIT, Failure } from './exit.ts'
import { explainFailure } from './failure.ts'
import { find, insistOnMember } from './find.ts'
import { commandHelp, groupHelp, overview, paragraphsFor } from './help.ts'
import { keyCommands } from './keys.ts'
import { type Opened, open } from './open.ts'
import { operatorName } from './operator.ts'
import { outboxCommands } from './outbox.ts'
import { serverCommands } from './server.ts'
import { sessionCommands } from './sessions.ts'
import { suggest } from './suggest.ts'
import { fit, type Io, type Paint, painter, printable, widthOf } from './terminal.ts'
import { userCommands } from './users.ts'
import { verifierCommands } from './verifiers.ts'
import { version } from './version.ts'

const commands: readonly Command[] = [
  ...serverCommands,
  ...userCommands,
  ...sessionCommands,
  ...clientCommands,
  ...keyCommands,
  ...verifierCommands,
  ...outboxCommands,
  ...configCommands,
  ...doctorCommands,
]

/**
 * The operator's command line.
 * @param argv the arguments after the program's name.
 * @param fill completes `env` and returns where each value that it added comes from. Called only when a command needs
 * settings: help and typing errors do not.
 * @returns the exit code; see EXIT.
 */
export async function main(
  argv: string[],
  env: NodeJS.ProcessEnv,
  io: Io = process,
  fill: () => Promise<Sources> = async () => ({}),
): Promise<number> {
  let filled: Promise<Sources> | undefined
  let opened: Promise<Opened> | undefined
  const sources = () => (filled ??= fill())
  const environment = () => sources().then(() => env)
  const context: Parts = {
    environment,
    sources,
    io,
    paint: painter(io.stdout, env),
    width: widthOf(io.stdout),
    open: (operator) => (opened ??= environment().then((settings) => open(settings, operator))),
  }
  try {
    const { answer, json } = await dispatch(context, argv)
    if (json && answer.json !== undefined) io.stdout.write(`${JSON.stringify(answer.json, null, 2)}\n`)
    else if (answer.text) io.stdout.write(`${fit(answer.text, context.width)}\n`)
    return answer.code ?? EXIT.ok
  } catch (error) {
    const { code, message } = explainFailure(error)
    const line = `${painter(io.stderr, env)('red', 'claviger:')} ${message}`
    io.stderr.write(`${fit(line, widthOf(io.stderr))}\n`)
    return code
  } finally {
    await opened?.then(
      ({ close }) => close(),
      () => {},
    )
  }
}

/** What every command is given, except for the operator. */
type Parts = Omit<Context, 'open'> & { open(operator: string): Promise<Opened> }

async function dispatch(parts: Parts, argv: string[]): Promise<{ answer: Answer; json: boolean }> {
  const { paint } = parts
  const text = (value: string): { answer: Answer; json: boolean } => ({
    answer: { json: null, text: value },
    json: false,
  })
  const help = (words: string[]) => text(paragraphsFor(helpOn(words, paint), parts.width))
  const [first, ...others] = argv
  if (first === undefined) throw new Failure(EXIT.usage, `a command is needed\n\n${overview(commands)}`)
  if (first === '--version') return text(version())
  if (first === 'help') return help(others)
  if (asksForHelp([first])) return help([])

  const found = find(commands, argv)
  refusePasswords(found.rest)
  if (asksForHelp(found.rest)) return help(argv)
  if ('group' in found) return insistOnMember(found.group, found.members)
  const { command, rest } = found
  const { values, positionals } = parse(command, rest)
  const [fewest, most] = command.takes
  if (positionals.length < fewest || positionals.length > most) {
    const what = positionals.length < fewest ? 'an argument is missing' : 'there are too many arguments'
    throw new Failure(EXIT.usage, `${what}\n\n${usageOf(command)}`)
  }
  const operator = operatorName(values.as as string | undefined, () => userInfo().username)
  const context = { ...parts, open: () => parts.open(operator) }
  return { answer: await command.run(context, positionals, values), json: values.json === true }
}

/**
 * Whether help is asked for anywhere, even if other arguments are wrong: people ask because they do not know the right
 * ones.
 */
function asksForHelp(args: string[]): boolean {
  const end = args.indexOf('--')
  return (end === -1 ? args : args.slice(0, end)).some((arg) => arg === '--help' || arg === '-h')
}

function helpOn(words: string[], paint: Paint): string {
  if (words.length === 0) return overview(commands, paint)
  const found = find(commands, words)
  return 'group' in found ? groupHelp(found.group, found.members, paint) : commandHelp(found.command, paint)
}

const COMMON_OPTIONS = {
  as: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

function parse(command: Command, args: string[]) {
  const options = { ...command.options, ...COMMON_OPTIONS } as const
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
    return { values: values as Record<string, unknown>, positionals }
  } catch (error) {
    // Without the second sentence, which explains how to pass a file whose name begins with a dash.
    const message = (error as Error).message.split('. ')[0] ?? ''
    const [, option] = /^Unknown option '--([^']*)'/.exec(message) ?? []
    const meant = option === undefined ? undefined : suggest([option], Object.keys(options))
    const question = meant === undefined ? '' : `. Did you mean --${meant}?`
    throw new Failure(EXIT.usage, `${printable(message)}${question}\n\n${usageOf(command)}`)
  }
}

function refusePasswords(args: string[]): void {
  if (!args.some((arg) => /^--?(password|passwd|pass|pw)(=|$)/i.test(arg))) return
  throw new Failure(
    EXIT.usage,
    'a password is never taken from the command line: it would stay in the history of the shell and be seen in the list of processes. Type it when asked, or give it as the first line of standard input. If the one you wrote was real, choose another one',
  )
}

function usageOf(command: Command): string {
  return `usage: claviger ${command.name} ${command.usage}`.trimEnd()
}

if (import.meta.main) {
  // A reader that closes the pipe, as in `claviger users list | head`, is not an error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit()
    throw error
  })
  process.exitCode = await main(process.argv.slice(2), process.env)
}
