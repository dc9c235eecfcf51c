import { NO_REQUEST } from '../audit/audit.ts'
import { transact } from '../db/errors.ts'
import { endAll, endEverybody, endOne } from '../sessions/end.ts'
import { endsIfUnused } from '../sessions/rotation.ts'
import { findUser } from '../users/accounts.ts'
import { command, EXIT } from './command.ts'
import { consent } from './consent.ts'
import type { Opened } from './open.ts'
import { isId, limitOf, refuse } from './options.ts'
import { emailOf, findFamily, historyOfFamily, type LiveSession, liveSessions } from './queries.ts'
import { printable, table } from './terminal.ts'
import { iso, relative } from './times.ts'
import { type Evidence, explain } from './why.ts'

const list = command({
  name: 'sessions list',
  usage: '[--user <email|id>] [--limit N]',
  summary: 'list live sessions, last used first',
  details: `  --user <email|id>   of this account alone
  --limit N           at most so many (1 to 1000, default 50)`,
  takes: [0, 0],
  options: { user: { type: 'string' }, limit: { type: 'string' } },
  run: async ({ open, paint, width }, _args, values) => {
    const limit = limitOf(values.limit)
    const { db, clock } = await open()
    const userId = values.user === undefined ? undefined : (await findUser(db, values.user)).id
    const now = clock()
    const found = await liveSessions(db, now, { userId, limit: limit + 1 })
    const sessions = found.slice(0, limit)
    const rows = sessions.map((session) => [
      session.id,
      session.email,
      session.clientId,
      iso(session.createdAt),
      relative(session.rotatedAt, now),
      relative(endsIfUnused(session), now),
      session.address ?? '-',
      printable(session.userAgent ?? '-'),
    ])
    const headings = ['ID', 'USER', 'CLIENT', 'STARTED', 'LAST USED', 'ENDS IF UNUSED', 'ADDRESS', 'USER AGENT']
    const more = found.length > limit
    const note = more ? `\n\n${paint('dim', `There are more; these ${limit} were used last.`)}` : ''
    const text = sessions.length === 0 ? 'No live sessions.' : table(headings, rows, { paint, width }) + note
    return { json: { sessions: sessions.map(toJson), more }, text }
  },
})

const end = command({
  name: 'sessions end',
  usage: '<id> | --user <email|id> | --all [--before <time>] [--yes]',
  summary: 'end a session, all sessions of an account, or everybody’s',
  details: `Access tokens that are out stay valid for verifiers that work offline until they expire.

  --user <email|id>   all sessions of this account
  --all               all sessions of everybody: after a restore, which brings back those that had ended
  --before <time>     with --all: those that began until then, such as 2026-03-01T09:30:00Z
  --yes               with --all: do not ask`,
  takes: [0, 1],
  options: {
    user: { type: 'string' },
    all: { type: 'boolean' },
    before: { type: 'string' },
    yes: { type: 'boolean' },
  },
  run: async ({ io, open, paint }, [id], { user: who, all = false, before, yes = false }) => {
    if ([id !== undefined, who !== undefined, all].filter(Boolean).length !== 1) {
      refuse('name a session, with --user an account, or --all')
    }
    if (!all && (before !== undefined || yes)) refuse('--before and --yes go with --all')
    if (id !== undefined) requireId(id)
    const until = before === undefined ? undefined : timeOf(before)
    const ask = consent(io, yes || !all)
    const opened = await open()
    const { db, clock } = opened
    if (all) {
      const which = until ? `that began until ${iso(until)}` : 'of everybody'
      await ask(`All sessions ${which} end, and their people have to sign in again.`)
      const ended = await endEverybody(opened, { before: until, ...BY_OPERATOR })
      return { json: { ended, before: until ?? null }, text: `Ended ${ended} session${ended === 1 ? '' : 's'}.` }
    }
    if (who !== undefined) {
      const user = await findUser(db, who)
      const ended = await transact(db, (tx) => endAll(tx, clock(), { userId: user.id, ...BY_OPERATOR }))
      const text = `Ended ${ended} session${ended === 1 ? '' : 's'} of ${paint('bold', user.email)}.`
      return { json: { user_id: user.id, ended }, text }
    }
    return await endById(opened, id ?? '')
  },
})

/** With a time zone: whose clock a time without one is by, nobody can tell. */
function timeOf(text: string): Date {
  const time = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text)
    ? new Date(text.replace(' ', 'T'))
    : undefined
  if (!time || Number.isNaN(time.getTime())) refuse('--before wants a time with its zone, such as 2026-03-01T09:30:00Z')
  return time
}

const BY_OPERATOR = { cause: 'operator', actor: 'operator', facts: NO_REQUEST } as const

async function endById(opened: Opened, id: string) {
  const { db, clock } = opened
  const evidence = await gather(opened, id)
  const before = explain(evidence, clock())
  const { family } = evidence
  // Asking for what is already so is no failure; naming what never was is.
  if (before.state !== 'live' || !family) {
    return {
      json: { id, ended: 0, state: before.state },
      text: `Nothing to end. ${before.sentence}`,
      code: before.state === 'unknown' ? EXIT.notFound : EXIT.ok,
    }
  }
  const ended = await transact(db, (tx) => endOne(tx, clock(), { id, userId: family.userId, ...BY_OPERATOR }))
  const text = ended ? `Ended session ${id} of ${family.email}.` : 'Nothing to end: it ended a moment ago.'
  return { json: { id, ended: Number(ended), state: 'ended' }, text }
}

const why = command({
  name: 'sessions why',
  usage: '<id>',
  summary: 'tell in one sentence why a session ended',
  details: 'The id is the claim “sid” of its access tokens. Exit code 3 if nothing is known of the session.',
  takes: [1, 1],
  options: {},
  run: async ({ open }, [id = '']) => {
    requireId(id)
    const opened = await open()
    const evidence = await gather(opened, id)
    const { state, cause, at, sentence } = explain(evidence, opened.clock())
    const events = evidence.history.map(({ at: when, type, outcome, reason, actor, address, user_agent, details }) => ({
      at: when,
      type,
      outcome,
      reason,
      actor,
      address,
      user_agent,
      details,
    }))
    return {
      json: {
        id,
        state,
        cause,
        at,
        sentence,
        user_id: evidence.family?.userId ?? null,
        email: evidence.email ?? null,
        events,
      },
      text: sentence,
      ...(state === 'unknown' ? { code: EXIT.notFound } : {}),
    }
  },
})

async function gather({ db }: Pick<Opened, 'db'>, id: string): Promise<Evidence> {
  const [family, history] = [await findFamily(db, id), await historyOfFamily(db, id)]
  const userId = history.find((event) => event.user_id !== null)?.user_id
  const email = family?.email ?? (userId ? await emailOf(db, userId) : undefined)
  return { id: id.toLowerCase(), family, email, history }
}

function requireId(id: string): void {
  if (!isId(id))
    refuse('a session id looks like 019a5c9e-2f6b-7c3d-8e21-5a4f0b9d7c11: “claviger sessions list” shows them')
}

function toJson(session: LiveSession) {
  return {
    id: session.id,
    user_id: session.userId,
    email: session.email,
    client_id: session.clientId,
    created_at: session.createdAt,
    last_used_at: session.rotatedAt,
    expires_at: endsIfUnused(session),
    user_agent: session.userAgent,
    address: session.address,
  }
}

export const sessionCommands = [list, end, why]
