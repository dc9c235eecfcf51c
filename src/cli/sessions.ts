import { endEverybody, endSession, endSessions } from '../sessions/end.ts'
import { listEnded, listLive } from '../sessions/list.ts'
import { findUser } from '../users/accounts.ts'
import { isUuid } from '../uuid.ts'
import { count } from './account-view.ts'
import { command } from './command.ts'
import { consent } from './consent.ts'
import { EXIT, refuse } from './exit.ts'
import type { Opened } from './open.ts'
import { AN_ID, limitOf } from './options.ts'
import { tellOfSession, why } from './story.ts'
import { printable, table } from './terminal.ts'
import { iso, relative } from './times.ts'

const list = command({
  name: 'sessions list',
  usage: '[--ended] [--user <email|id>] [--limit N]',
  summary: 'list live sessions, last used first; or those that ended',
  details: `  --ended             those that are over, with cause and time, ended last first. “claviger sessions why <id>” tells more
  --user <email|id>   of this account alone
  --limit N           at most so many (1 to 1000, default 50)`,
  takes: [0, 0],
  options: { ended: { type: 'boolean' }, user: { type: 'string' }, limit: { type: 'string' } },
  run: async ({ open, paint, width }, _args, { ended = false, ...values }) => {
    const limit = limitOf(values.limit)
    const { db, clock } = await open()
    const userId = values.user === undefined ? undefined : (await findUser(db, values.user)).id
    const now = clock()
    const filter = { userId, limit }
    const { headings, rows, json, more } = ended ? await showEnded(db, now, filter) : await showLive(db, now, filter)
    const which = ended ? 'ended' : 'were used'
    const note = more ? `\n\n${paint('dim', `There are more; these ${limit} ${which} last.`)}` : ''
    const text =
      rows.length === 0 ? `No ${ended ? 'ended' : 'live'} sessions.` : table(headings, rows, { paint, width }) + note
    return { json: { sessions: json, more }, text }
  },
})

/** A page of sessions in both forms. */
interface Listing {
  headings: string[]
  rows: string[][]
  json: Record<string, unknown>[]
  more: boolean
}

type Filter = Parameters<typeof listLive>[2]

async function showLive(db: Opened['db'], now: Date, filter: Filter): Promise<Listing> {
  const { sessions, more } = await listLive(db, now, filter)
  return {
    headings: ['ID', 'USER', 'CLIENT', 'TOKENS', 'STARTED', 'LAST USED', 'ENDS IF UNUSED', 'ADDRESS', 'USER AGENT'],
    rows: sessions.map((session) => [
      session.id,
      session.email,
      session.clientId,
      session.bound ? 'bound' : 'bearer',
      iso(session.createdAt),
      relative(session.lastUsedAt, now),
      relative(session.expiresAt, now),
      session.address ?? '-',
      printable(session.userAgent ?? '-'),
    ]),
    json: sessions.map((session) => ({
      id: session.id,
      user_id: session.userId,
      email: session.email,
      client_id: session.clientId,
      bound: session.bound,
      created_at: session.createdAt,
      last_used_at: session.lastUsedAt,
      expires_at: session.expiresAt,
      user_agent: session.userAgent,
      address: session.address,
    })),
    more,
  }
}

async function showEnded(db: Opened['db'], now: Date, filter: Filter): Promise<Listing> {
  const { sessions, more } = await listEnded(db, now, filter)
  return {
    headings: ['ID', 'USER', 'CLIENT', 'STARTED', 'ENDED', 'CAUSE', 'ENDED FROM', 'USER AGENT'],
    rows: sessions.map((session) => [
      session.id,
      session.email ?? '-',
      session.clientId ?? '-',
      session.createdAt ? iso(session.createdAt) : '-',
      relative(session.endedAt, now),
      printable(session.cause),
      session.endedFrom ?? '-',
      printable(session.userAgent ?? '-'),
    ]),
    json: sessions.map((session) => ({
      id: session.id,
      user_id: session.userId,
      email: session.email,
      client_id: session.clientId,
      created_at: session.createdAt,
      ended_at: session.endedAt,
      cause: session.cause,
      ended_from: session.endedFrom,
      user_agent: session.userAgent,
    })),
    more,
  }
}

const end = command({
  name: 'sessions end',
  usage: '<id> | --user <email|id> | --all [--before <time>] [--yes]',
  summary: 'end a session, all sessions of an account, or everybody’s',
  details: `Services that follow the revocation feed refuse its access tokens within seconds, and “claviger verifiers --session <id>” says
whom it has reached; others accept them until they expire.

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
    if (all) {
      const which = until ? `that began until ${iso(until)}` : 'of everybody'
      await ask(`All sessions ${which} end, and their people have to sign in again.`)
      const ended = await endEverybody(opened, opened.operation(), { before: until, cause: 'operator' })
      return { json: { ended, before: until ?? null }, text: `Ended ${count(ended, 'session')}.` }
    }
    if (who !== undefined) {
      const user = await findUser(opened.db, who)
      const ended = await endSessions(opened, opened.operation(), { userId: user.id, cause: 'operator' })
      const text = `Ended ${count(ended, 'session')} of ${paint('bold', user.email)}.`
      return { json: { user_id: user.id, ended }, text }
    }
    return await endById(opened, id ?? '')
  },
})

/** Requires a time zone: without one, it is unclear by whose clock the time is meant. */
function timeOf(text: string): Date {
  const time = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text)
    ? new Date(text.replace(' ', 'T'))
    : undefined
  if (!time || Number.isNaN(time.getTime())) refuse('--before wants a time with its zone, such as 2026-03-01T09:30:00Z')
  return time
}

async function endById(opened: Opened, id: string) {
  const { story, email, sentence } = await tellOfSession(opened, id)
  const { state, cause } = story.fate
  // Past its idle end alone, an access token of it may still live.
  const mayHaveTokens = state === 'live' || cause === 'idle'
  // A session that is already over is no failure; one that never existed is.
  if (!mayHaveTokens || !story.family) {
    return {
      json: { id, ended: 0, state },
      text: `Nothing to end. ${sentence}`,
      code: state === 'unknown' ? EXIT.notFound : EXIT.ok,
    }
  }
  const ended = await endSession(opened, opened.operation(), { id, userId: story.family.userId, cause: 'operator' })
  const text = ended ? `Ended session ${id} of ${email}.` : 'Nothing to end: it ended a moment ago.'
  return { json: { id, ended: Number(ended), state: 'ended' }, text }
}

function requireId(id: string): void {
  if (!isUuid(id)) refuse(`that is no session: ${AN_ID}, and “claviger sessions list” shows them`)
}

export const sessionCommands = [list, end, why]
