import { buffer as readAll } from 'node:stream/consumers'
import { parseJson } from '../json-text.ts'
import { findUser } from '../users/accounts.ts'
import { setClaims, setRoles } from '../users/rights.ts'
import { type Context, command } from './command.ts'
import { refuse } from './exit.ts'
import { pairs, printable } from './terminal.ts'

const roles = command({
  name: 'users roles',
  usage: '<email|id> [--add ROLE]… [--remove ROLE]… | [--set ROLE,ROLE]',
  summary: 'show or change the roles of an account',
  details: `Prints the roles before and after. Without an option it changes nothing. Tokens that are out keep the old roles
until their next refresh.

  --add ROLE       may be repeated
  --remove ROLE    may be repeated
  --set A,B        exactly these; --set '' takes all away`,
  takes: [1, 1],
  options: {
    add: { type: 'string', multiple: true },
    remove: { type: 'string', multiple: true },
    set: { type: 'string' },
  },
  run: async (context, [who = ''], { add = [], remove = [], set }) => {
    if (set !== undefined && add.length + remove.length > 0)
      refuse('--set says it all: use it without --add and --remove')
    const opened = await context.open()
    const user = await findUser(opened.db, who)
    const asked = set !== undefined || add.length + remove.length > 0
    const change = (before: string[]): string[] =>
      set === undefined ? [...before, ...add].filter((role) => !remove.includes(role)) : split(set)
    const { before, after } = asked
      ? await setRoles(opened, opened.operation(), user.id, change)
      : { before: user.roles, after: user.roles }
    const changed = after.join() !== before.join()
    return {
      json: { user_id: user.id, email: user.email, before, after, changed },
      text: describeRoles(context, user.email, before, after),
    }
  },
})

function describeRoles({ paint }: Context, email: string, before: string[], after: string[]): string {
  const show = (names: string[]) => names.join(', ') || paint('dim', 'none')
  if (after.join() === before.join()) return `${paint('bold', email)} has these roles, unchanged: ${show(before)}`
  return `${paint('bold', email)}\n${pairs(
    [
      ['before', show(before)],
      ['after', show(after)],
    ],
    paint,
  )}`
}

function split(text: string): string[] {
  return text
    .split(',')
    .map((role) => role.trim())
    .filter((role) => role !== '')
}

const claims = command({
  name: 'users claims',
  usage: '<email|id> [--set JSON|-]',
  summary: 'show or replace the custom claims of an account',
  details: `They stand in its access tokens beside ours. Tokens that are out keep the old ones until their next refresh.

  --set JSON   exactly these, as in --set '{"tenant":"acme"}'; --set '{}' takes all away
  --set -      the same, read from standard input`,
  takes: [1, 1],
  options: { set: { type: 'string' } },
  run: async ({ io, open, paint }, [who = ''], { set }) => {
    const wanted = set === undefined ? undefined : parseClaims(set === '-' ? await readAll(io.stdin) : Buffer.from(set))
    const opened = await open()
    const before = await findUser(opened.db, who)
    if (wanted) await setClaims(opened, opened.operation(), before.id, wanted)
    const after = wanted ?? before.claims
    return {
      json: { user_id: before.id, email: before.email, before: before.claims, after },
      text: `${paint('bold', before.email)} has these custom claims: ${printable(JSON.stringify(after))}`,
    }
  },
})

/** Refuses repeated members, of which JSON.parse would silently take the last. */
function parseClaims(text: Buffer): Record<string, unknown> {
  let value: unknown
  try {
    value = parseJson(text)
  } catch {
    refuse('--set takes a JSON object, each of its names once')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse('--set takes a JSON object')
  return value as Record<string, unknown>
}

export const rightsCommands = [roles, claims]
