import { heldOffUntil } from '../credentials/attempts.ts'
import { listLive } from '../sessions/list.ts'
import { createUser, findUser, listUsers } from '../users/accounts.ts'
import { normaliseEmail } from '../users/email.ts'
import { isUuid } from '../uuid.ts'
import { accountCommands } from './account.ts'
import { describe, stateOf, toJson } from './account-view.ts'
import { command } from './command.ts'
import { refuse } from './exit.ts'
import { exportUsersCommand } from './export.ts'
import { importUsersCommand } from './import.ts'
import { invitationCommands } from './invitations.ts'
import { limitOf } from './options.ts'
import { hasherOf, newPassword } from './password.ts'
import { rightsCommands } from './rights.ts'
import { table } from './terminal.ts'
import { iso } from './times.ts'

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
    // Checked before the password is typed, so that nobody types it in vain.
    const normal = normaliseEmail(email)
    const opened = await open()
    const password = values['no-password'] ? null : await newPassword(io)
    const hasher = hasherOf(opened.config)
    const wanted = { email: normal, password, roles: values.role ?? [] }
    const user = await createUser({ ...opened, hasher }, opened.operation(), wanted)
    return {
      json: { user: toJson(user) },
      text: `Created ${paint('bold', user.email)}.\n\n${describe(user, paint, opened.clock())}`,
    }
  },
})

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
    if (after !== undefined && !isUuid(after)) refuse('--after takes the cursor that the page before named')
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

const show = command({
  name: 'users show',
  usage: '<email|id>',
  summary: 'tell all that is known of an account',
  details: `“claviger sessions list --user <email|id>” shows its sessions, “claviger sessions why <email|id>” tells what became of
them.`,
  takes: [1, 1],
  options: {},
  run: async ({ open, paint }, [who = '']) => {
    const opened = await open()
    const user = await findUser(opened.db, who)
    const now = opened.clock()
    const heldOff = await heldOffUntil(opened, now, user.email)
    const { sessions } = await listLive(opened.db, now, { userId: user.id, limit: MOST_COUNTED })
    const lastUsed = sessions[0]?.lastUsedAt ?? null
    return {
      json: {
        user: {
          ...toJson(user),
          held_off_until: heldOff ?? null,
          live_sessions: sessions.length,
          last_used_at: lastUsed,
        },
      },
      text: `${paint('bold', user.email)}\n${describe(user, paint, now, { heldOff, sessions: sessions.length, lastUsed })}`,
    }
  },
})

/** The maximum of SESSIONS_PER_USER. */
const MOST_COUNTED = 1000

export const userCommands = [
  create,
  importUsersCommand,
  exportUsersCommand,
  list,
  show,
  ...invitationCommands,
  ...accountCommands,
  ...rightsCommands,
]
