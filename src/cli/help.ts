import type { Command } from './command.ts'
import type { Paint } from './terminal.ts'

const plain: Paint = (_format, text) => text

const COMMON = `Every command takes --json (one JSON document on standard output) and --help; --as NAME says who you are, for the audit
trail, which else names the user of this system.
Settings come from the environment, as for the server: see .env.example and “claviger config”.`

const EXIT_CODES = `0   done
1   failed; standard error says why
2   wrong usage
3   what was named does not exist
4   the database cannot be reached
78  the configuration has faults`

/** One line for each command. */
export function listing(commands: readonly Command[], paint: Paint = plain): string {
  const widest = Math.max(...commands.map(({ name }) => name.length))
  return commands.map(({ name, summary }) => `  ${paint('bold', name.padEnd(widest))}  ${summary}`).join('\n')
}

export function overview(commands: readonly Command[], paint: Paint = plain): string {
  return [
    'usage: claviger <command> [arguments]',
    listing(commands, paint),
    COMMON,
    `${paint('bold', 'Exit codes')}\n${indent(EXIT_CODES)}`,
    '“claviger help <command>” tells more about a command.',
  ].join('\n\n')
}

/** Help for the commands that share a first word. */
export function groupHelp(group: string, members: readonly Command[], paint: Paint = plain): string {
  return [
    `“${group}” has these commands:`,
    listing(members, paint),
    `“claviger ${group} <command> --help” tells more about one of them.`,
  ].join('\n\n')
}

export function commandHelp(command: Command, paint: Paint = plain): string {
  const { name, usage, summary, details } = command
  return [
    `usage: ${paint('bold', `claviger ${name}`)} ${usage}`.trimEnd(),
    summary,
    ...(details ? [details] : []),
    COMMON,
  ].join('\n\n')
}

/** Paragraphs are written in lines of at most 120 characters. For a narrower terminal each is one line, to be broken anew. */
export function paragraphsFor(text: string, width: number): string {
  return width < 120 ? text.replace(/^(\S.{99,})\n(?=\S)/gm, '$1 ') : text
}

function indent(text: string): string {
  return text.replace(/^/gm, '  ')
}
