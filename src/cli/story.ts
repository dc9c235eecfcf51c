import { Problem } from '../errors.ts'
import { type Account, findUser } from '../users/accounts.ts'
import { normaliseEmail } from '../users/email.ts'
import { isUuid } from '../uuid.ts'
import { count } from './account-view.ts'
import { type Answer, command } from './command.ts'
import { sessionsOf } from './ended-queries.ts'
import { EXIT, refuse } from './exit.ts'
import type { Opened } from './open.ts'
import { AN_ID, limitOf } from './options.ts'
import { emailOf, findFamily, historyOfFamily } from './queries.ts'
import type { Paint } from './terminal.ts'
import { type Evidence, type Explanation, explain } from './why.ts'

export const why = command({
  name: 'sessions why',
  usage: '<session|email|user id> [--limit N]',
  summary: 'tell why a session ended, or what became of those of an account',
  details: `Of a session in one sentence; its id is the claim “sid” of its access tokens. Of an account its last sessions, begun last
first, and whether it may sign in. Exit code 3 if nothing is known of it.

  --limit N   of an account at most so many sessions (1 to 1000, default 10)`,
  takes: [1, 1],
  options: { limit: { type: 'string' } },
  run: async ({ open, paint }, [subject = ''], values) => {
    const limit = limitOf(values.limit, 10)
    if (!isUuid(subject)) {
      if (!subject.includes('@')) refuse(`name a session or an account: ${AN_ID}, an account has an e-mail address too`)
      const email = normaliseEmail(subject)
      const opened = await open()
      return await tellOfUser(opened, await findUser(opened.db, email), limit, paint)
    }
    const opened = await open()
    const evidence = await gather(opened, subject)
    const told = explain(evidence, opened.clock())
    if (told.state !== 'unknown') return tellOfSession(evidence, told)
    const user = await findUser(opened.db, subject).catch(noneIfUnknown)
    if (user) return await tellOfUser(opened, user, limit, paint)
    const traces = await sessionsOf(opened.db, subject, limit + 1)
    if (traces.length > 0) return await tell(opened, { id: subject, email: null, notes: [] }, traces, limit, paint)
    return { ...tellOfSession(evidence, told), code: EXIT.notFound }
  },
})

function noneIfUnknown(error: unknown): undefined {
  if (!(error instanceof Problem && error.code === 'not_found')) throw error
}

function tellOfSession(evidence: Evidence, told: Explanation): Answer {
  const { state, cause, at, sentence } = told
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
      id: evidence.id,
      state,
      cause,
      at,
      sentence,
      user_id: evidence.family?.userId ?? null,
      email: evidence.email ?? null,
      events,
    },
    text: sentence,
  }
}

async function tellOfUser(opened: Opened, user: Account, limit: number, paint: Paint): Promise<Answer> {
  const notes = [
    ...(user.disabledAt ? ['The account is disabled: nobody can sign in until “claviger users enable”.'] : []),
    ...(user.passwordDisabled
      ? ['Its password is refused after too many failures, until “claviger users enable”.']
      : []),
  ]
  const found = await sessionsOf(opened.db, user.id, limit + 1)
  return await tell(opened, { id: user.id, email: user.email, notes }, found, limit, paint)
}

/** The stories of sessions, a paragraph each. @param user without an address: it is gone. */
async function tell(
  opened: Opened,
  { id, email, notes }: { id: string; email: string | null; notes: string[] },
  found: string[],
  limit: number,
  paint: Paint,
): Promise<Answer> {
  const now = opened.clock()
  const stories: (Explanation & { id: string })[] = []
  for (const session of found.slice(0, limit)) {
    stories.push({ id: session, ...explain(await gather(opened, session), now) })
  }
  const live = stories.filter(({ state }) => state === 'live').length
  const more = found.length > limit
  const name = email === null ? `account ${id}, which is gone` : paint('bold', email)
  const which = more ? `the last ${limit} sessions` : count(stories.length, 'session')
  const summary =
    stories.length === 0
      ? `${name}: no sign-in, or none that anything is known of.`
      : `${name}: ${which}, ${live === 0 ? 'none' : live} of them live.`
  return {
    json: { user_id: id, email, notes, sessions: stories, more },
    text: [...notes, summary, ...stories.map(({ sentence }) => sentence)].join('\n\n'),
  }
}

/** What is known of a session, from its row and from the trail. */
export async function gather({ db }: Pick<Opened, 'db'>, id: string): Promise<Evidence> {
  const [family, history] = [await findFamily(db, id), await historyOfFamily(db, id)]
  const userId = history.find((event) => event.user_id !== null)?.user_id
  const email = family?.email ?? (userId ? await emailOf(db, userId) : undefined)
  return { id: id.toLowerCase(), family, email, history }
}
