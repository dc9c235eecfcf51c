import type { Command } from './command.ts'
import { EXIT, Failure } from './exit.ts'
import { groupHelp, listing, overview } from './help.ts'
import { suggest } from './suggest.ts'
import { printable } from './terminal.ts'

/** A command and the words after its name, or a first word that several commands share. */
export type Found = { command: Command; rest: string[] } | { group: string; members: Command[]; rest: string[] }

/** @throws Failure if nothing has that name, suggesting what was probably meant. */
export function find(commands: readonly Command[], words: readonly string[]): Found {
  for (const count of [2, 1]) {
    const name = words.slice(0, count).join(' ')
    const command = commands.find((each) => each.name === name)
    if (command) return { command, rest: words.slice(count) }
  }
  const [first = '', second] = words
  const members = commands.filter(({ name }) => name.startsWith(`${first} `))
  if (members.length === 0) throw new Failure(EXIT.usage, explainUnknown(commands, words))
  if (second !== undefined && !second.startsWith('-')) {
    throw new Failure(EXIT.usage, explainUnknownMember(first, members, second))
  }
  return { group: first, members, rest: words.slice(1) }
}

function explainUnknown(commands: readonly Command[], words: readonly string[]): string {
  const [first = ''] = words
  const names = commands.map(({ name }) => name)
  const groups = [...new Set(names.map((name) => name.split(' ')[0] ?? ''))]
  const pair = words.slice(0, 2).filter((word) => !word.startsWith('-'))
  const ofTwo = suggest(pair, names)
  const meant = ofTwo ?? suggest([first], first.startsWith('-') ? ['--help', '--version'] : groups)
  const unknown = `unknown command: ${printable(ofTwo === undefined ? first : pair.join(' '))}`
  return meant === undefined
    ? `${unknown}\n\n${overview(commands)}`
    : `${unknown}. Did you mean “claviger ${meant}”?\n\n“claviger --help” lists all commands.`
}

function explainUnknownMember(group: string, members: readonly Command[], typed: string): string {
  const meant = suggest(
    [group, typed],
    members.map(({ name }) => name),
  )
  const unknown = `unknown command: ${group} ${printable(typed)}`
  return `${unknown}${meant === undefined ? '' : `. Did you mean “claviger ${meant}”?`}\n\n${groupHelp(group, members)}`
}

/** Refuses the name of a group alone, listing its commands. @throws Failure. */
export function insistOnMember(group: string, members: readonly Command[]): never {
  throw new Failure(EXIT.usage, `“${group}” has these commands:\n\n${listing(members)}`)
}
