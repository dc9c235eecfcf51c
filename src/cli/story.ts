import { Problem } from '../errors.ts'
import { listBegun, type Page } from '../sessions/list.ts'
import { findOut, type Story } from '../sessions/why.ts'
import { type Account, findUser } from '../users/accounts.ts'
import { normaliseEmail } from '../users/email.ts'
import { emailOf } from '../users/lookup.ts'
import { isUuid } from '../uuid.ts'
import { count } from './account-view.ts'
import { type Answer, command } from './command.ts'
import { EXIT, refuse } from './exit.ts'
import type { Opened } from './open.ts'
import { AN_ID, limitOf } from './options.ts'
import { describeReach, findReach, reachToJson } from './reach.ts'
import type { Paint } from './terminal.ts'
import { explain } from './why.ts'

export const why = command({
  name: 'sessions why',
  usage: '<session|email|user id> [--limit N]',
  summary: 'tell why a session ended, or what became of those of an account',
  details: `Of a session in one sentence; its id is the claim “sid” of its access tokens. Where services report what they have heard
of the revocation feed, another sentence says who has heard of its end. Of an account its last sessions, begun last first, and
whether it may sign in. Exit code 3 if nothing is known of it.

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
    const told = await tellOfSession(opened, subject)
    if (told.story.fate.state !== 'unknown') return await answerOf(opened, told)
    const user = await findUser(opened.db, subject).catch(noneIfUnknown)
    if (user) return await tellOfUser(opened, user, limit, paint)
    const begun = await listBegun(opened.db, subject, limit)
    if (begun.sessions.length > 0) return await tell(opened, { id: subject, email: null, notes: [] }, begun, paint)
    return { ...(await answerOf(opened, told)), code: EXIT.notFound }
  },
})

function noneIfUnknown(error: unknown): undefined {
  if (!(error instanceof Problem && error.code === 'not_found')) throw error
}

interface Told {
  id: string
  email: string | undefined
  story: Story
  sentence: string
}

export async function tellOfSession({ db, clock }: Pick<Opened, 'db' | 'clock'>, typed: string): Promise<Told> {
  const id = typed.toLowerCase()
  const now = clock()
  const story = await findOut(db, now, id)
  const email = story.userId === undefined ? undefined : await emailOf(db, story.userId)
  const bound = isBound(story) === true
  return { id, email, story, sentence: explain({ id, email, bound }, story.fate, now) }
}

/** Whether the tokens of a session are bound to a key. @returns null once it has been pruned: the trail does not say. */
function isBound({ family }: Story): boolean | null {
  return family ? family.dpopJkt !== null : null
}

async function answerOf(opened: Opened, { id, email, story, sentence }: Told): Promise<Answer> {
  const { state, cause, at } = story.fate
  const events = story.history.map((event) => ({
    at: event.at,
    type: event.type,
    outcome: event.outcome,
    reason: event.reason,
    actor: event.actor,
    address: event.address,
    user_agent: event.userAgent,
    details: event.details,
  }))
  const reach = state === 'ended' ? await findReach(opened, id, story) : undefined
  const whose = { user_id: story.family?.userId ?? null, email: email ?? null, bound: isBound(story) }
  const heard = reach ? reachToJson(reach) : { revocation: null, heard: [] }
  // Where no service reports there is nothing to be told.
  const heardOf = reach && reach.instances.length > 0 ? [describeReach(reach, opened.clock())] : []
  return {
    json: { id, state, cause, at, sentence, ...whose, ...heard, events },
    text: [sentence, ...heardOf].join('\n'),
  }
}

async function tellOfUser(opened: Opened, user: Account, limit: number, paint: Paint): Promise<Answer> {
  const notes = [
    ...(user.disabledAt ? ['The account is disabled: nobody can sign in until “claviger users enable”.'] : []),
    ...(user.passwordDisabled
      ? [
          'Its password is refused, after too many failures or since a change of address was taken back, until it is reset.',
        ]
      : []),
  ]
  const begun = await listBegun(opened.db, user.id, limit)
  return await tell(opened, { id: user.id, email: user.email, notes }, begun, paint)
}

/** Tells the stories of sessions, a paragraph each. @param user has no address if it was deleted. */
async function tell(
  opened: Opened,
  { id, email, notes }: { id: string; email: string | null; notes: string[] },
  { sessions: begun, more }: Page<string>,
  paint: Paint,
): Promise<Answer> {
  const sessions: Record<'id' | 'state' | 'cause' | 'at' | 'bound' | 'sentence', unknown>[] = []
  for (const session of begun) {
    const { story, sentence } = await tellOfSession(opened, session)
    const { state, cause, at } = story.fate
    sessions.push({ id: session, state, cause, at, bound: isBound(story), sentence })
  }
  const live = sessions.filter(({ state }) => state === 'live').length
  const name = email === null ? `account ${id}, which is gone` : paint('bold', email)
  const which = more ? `the last ${sessions.length} sessions` : count(sessions.length, 'session')
  const summary =
    sessions.length === 0
      ? `${name}: no sign-in, or none that anything is known of.`
      : `${name}: ${which}, ${live === 0 ? 'none' : live} of them live.`
  return {
    json: { user_id: id, email, notes, sessions, more },
    text: [...notes, summary, ...sessions.map(({ sentence }) => sentence)].join('\n\n'),
  }
}
