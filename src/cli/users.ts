import type { Config } from '../config.ts'
import {
  type Account,
  createUser,
  disableUser,
  enableUser,
  findUser,
  listUsers,
  setPassword,
} from '../users/accounts.ts'
import { normaliseEmail } from '../users/email.ts'
import { createPasswordHasher, type PasswordHasher } from '../users/password.ts'
import { command } from './command.ts'
import { isId, limitOf, refuse } from './options.ts'
import { newPassword } from './password.ts'
import { rightsCommands } from './rights.ts'
import { type Paint, pairs, table } from './terminal.ts'
import { iso, when } from './times.ts'

const create = command({
  name: 'users create',
  usage: '<email> [--role ROLE]… [--no-password]',
  summary: 'make an account',
  details: `The password is asked for twice on a terminal, else read from the first line of standard input. It is never an
argument.

  --role ROLE     give the account a role; may be repeated
  --no-password   nobody can sign in with a password`,
  takes: [1, 1],
  options: { role: { type: 'string', multiple: true }, 'no-password': { type: 'boolean' } },
  run: async ({ io, open, paint }, [email = ''], values) => {
    // Whatever can be wrong is wrong before a password is typed.
    const normal = normaliseEmail(email)
    const opened = await open()
    const password = values['no-password'] ? null : await newPassword(io)
    const hasher = hasherOf(opened.config)
    const user = await createUser({ ...opened, hasher }, { email: normal, password, roles: values.role ?? [] })
    return {
      json: { user: toJson(user) },
      text: `Created ${paint('bold', user.email)}.\n\n${describe(user, paint, opened.clock())}`,
    }
  },
})

const password = command({
  name: 'users password',
  usage: '<email|id>',
  summary: 'give an account another password, and end its sessions',
  details: `The password is asked for twice on a terminal, else read from the first line of standard input. It is never an
argument.`,
  takes: [1, 1],
  options: {},
  run: async ({ io, open, paint }, [who = '']) => {
    const opened = await open()
    const { email } = await findUser(opened.db, who)
    const secret = await newPassword(io)
    const sessions_ended = await setPassword({ ...opened, hasher: hasherOf(opened.config) }, who, secret)
    const text = `Set the password of ${paint('bold', email)}; ${count(sessions_ended, 'session')} ended. Tell it to nobody but its owner, who should change it.`
    return { json: { user: toJson(await findUser(opened.db, who)), sessions_ended }, text }
  },
})

function hasherOf({ ARGON2_MEMORY_KIB: memoryKib, ARGON2_PASSES: passes }: Config): PasswordHasher {
  return createPasswordHasher({ memoryKib, passes, concurrency: 1, queue: 1 })
}

const list = command({
  name: 'users list',
  usage: '[--limit N] [--after CURSOR]',
  summary: 'list accounts, oldest first',
  details: `  --limit N        at most so many (1 to 1000, default 50)
  --after CURSOR   go on from where the page before ended; it names the cursor`,
  takes: [0, 0],
  options: { limit: { type: 'string' }, after: { type: 'string' } },
  run: async ({ open, paint, width }, _args, { limit: asked, after }) => {
    const limit = limitOf(asked)
    if (after !== undefined && !isId(after)) refuse('--after takes the cursor that the page before named')
    const { db } = await open()
    const found = await listUsers(db, { after, limit: limit + 1 })
    const users = found.slice(0, limit)
    const next = found.length > limit ? (users.at(-1)?.id ?? null) : null
    const rows = users.map((user) => [
      user.id,
      user.email,
      stateOf(user, paint),
      iso(user.createdAt),
      user.roles.join(', ') || '-',
    ])
    const more = next
      ? `\n\n${paint('dim', `There are more: claviger users list --limit ${limit} --after ${next}`)}`
      : ''
    const text =
      users.length === 0
        ? 'No accounts.'
        : table(['ID', 'EMAIL', 'STATE', 'CREATED', 'ROLES'], rows, { paint, width }) + more
    return { json: { users: users.map(toJson), next }, text }
  },
})

const disable = command({
  name: 'users disable',
  usage: '<email|id>',
  summary: 'end all sessions of an account and let nobody start another',
  details: 'Access tokens that are out stay valid for verifiers that work offline until they expire.',
  takes: [1, 1],
  options: {},
  run: async (context, [who = '']) => {
    const opened = await context.open()
    const sessions_ended = await disableUser(opened, who)
    const user = await findUser(opened.db, who)
    const text = `Disabled ${context.paint('bold', user.email)}; ${count(sessions_ended, 'session')} ended. Access tokens that are out expire within ${opened.config.ACCESS_TOKEN_SECONDS} s.`
    return { json: { user: toJson(user), sessions_ended }, text }
  },
})

const enable = command({
  name: 'users enable',
  usage: '<email|id>',
  summary: 'let an account sign in again, after a disable or too many failures',
  takes: [1, 1],
  options: {},
  run: async (context, [who = '']) => {
    const opened = await context.open()
    await enableUser(opened, who)
    const user = await findUser(opened.db, who)
    return {
      json: { user: toJson(user) },
      text: `Enabled ${context.paint('bold', user.email)}: it may sign in, and no failure counts against it.`,
    }
  },
})

function stateOf(user: Account, paint: Paint): string {
  if (user.disabledAt) return paint('red', 'disabled')
  if (user.passwordDisabled) return paint('yellow', 'locked')
  return user.hasPassword ? paint('green', 'active') : 'no password'
}

function describe(user: Account, paint: Paint, now: Date): string {
  return pairs(
    [
      ['id', user.id],
      ['roles', user.roles.join(', ') || paint('dim', 'none')],
      ['password', user.hasPassword ? 'set' : 'none: nobody can sign in with one'],
      ['created', when(user.createdAt, now)],
    ],
    paint,
  )
}

function toJson(user: Account) {
  return {
    id: user.id,
    email: user.email,
    email_verified: user.emailVerified,
    roles: user.roles,
    claims: user.claims,
    has_password: user.hasPassword,
    password_disabled: user.passwordDisabled,
    disabled_at: user.disabledAt,
    created_at: user.createdAt,
  }
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

export const userCommands = [create, list, disable, enable, password, ...rightsCommands]
