import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { transact } from '../../src/db/errors.ts'
import { endFamiliesBefore, endFamiliesOf, endFamily } from '../../src/sessions/end-queries.ts'
import { listEnded, listLive } from '../../src/sessions/list.ts'
import { endsIfUnused, lifeAt } from '../../src/sessions/live.ts'
import { findFamily, findLive } from '../../src/sessions/queries.ts'
import { rotateThoseCurrent } from '../../src/sessions/refresh/rotation-queries.ts'
import { decide, type FamilyState, type Presented } from '../../src/sessions/rotation.ts'
import type { TestApp } from '../support/app.ts'
import { register, type SignedIn, signIn, startApp, type User } from './support.ts'

// Whether a session is live is asked in many places: by the rule, by statements, and by the hot path in words of its own. One
// that is more generous than the others would let somebody in whom the others have locked out.

const IDLE_SECONDS = 3600
const LATER = 60_000

interface Times {
  /** When somebody ended it. All in milliseconds after the moment of the question. */
  ended?: number
  absolute: number
  idle: number
}

let t: TestApp
let user: User
let session: SignedIn
let now: Date

beforeAll(async () => {
  t = await startApp()
  user = await register(t)
  session = await signIn(t, user)
  now = t.deps.clock()
})
afterAll(() => t[Symbol.asyncDispose]())

const after = (milliseconds: number): Date => new Date(now.getTime() + milliseconds)

/** Gives the session these times, with its first token as the current one. */
async function arrange({ ended, absolute, idle }: Times): Promise<FamilyState> {
  await t.db
    .updateTable('families')
    .set({
      ended_at: ended === undefined ? null : after(ended),
      end_cause: ended === undefined ? null : 'logout',
      created_at: after(-2 * IDLE_SECONDS * 1000),
      expires_at: after(absolute),
      rotated_at: after(idle - IDLE_SECONDS * 1000),
      idle_seconds: IDLE_SECONDS,
      generation: 0,
      current_hash: presented().hash,
      previous_generation: null,
      previous_hash: null,
      salt: null,
      window_count: 0,
    })
    .where('id', '=', session.sid)
    .execute()
  const family = await findFamily(t.db, session.sid)
  if (!family) throw new Error('the session has no row')
  return family.state
}

function presented(): Presented {
  return {
    generation: 0,
    hash: Buffer.alloc(32, 1),
    keyHash: null,
    delivery: session.delivery,
    clientId: null,
    proof: null,
  }
}

async function rotates(arrivedAt = now): Promise<boolean> {
  const rules = { clients: t.deps.clients, perMinute: 1000, room: () => 4096 }
  const successor = { hash: Buffer.alloc(32, 2), salt: Buffer.alloc(16) }
  const narrow = { scope: null, audience: null }
  const rotation = { family: session.sid, presented: presented(), successor, arrivedAt, narrow }
  return (await rotateThoseCurrent(t.db, now, rules, [rotation])).has(session.sid)
}

const includes = (sessions: readonly { id: string }[]): boolean => sessions.some(({ id }) => id === session.sid)

describe.each<[string, Times, 'live' | 'ended' | 'expired']>([
  ['fresh', { absolute: LATER, idle: LATER }, 'live'],
  ['a millisecond before its absolute end', { absolute: 1, idle: LATER }, 'live'],
  ['at its absolute end', { absolute: 0, idle: LATER }, 'expired'],
  ['a millisecond after its absolute end', { absolute: -1, idle: LATER }, 'expired'],
  ['a millisecond before its idle end', { absolute: LATER, idle: 1 }, 'live'],
  ['at its idle end', { absolute: LATER, idle: 0 }, 'expired'],
  ['a millisecond after its idle end', { absolute: LATER, idle: -1 }, 'expired'],
  ['at both ends', { absolute: 0, idle: 0 }, 'expired'],
  ['ended a moment ago', { ended: -1, absolute: LATER, idle: LATER }, 'ended'],
  ['ended at this moment', { ended: 0, absolute: LATER, idle: LATER }, 'ended'],
  ['ended by a clock that is ahead of ours', { ended: 1, absolute: LATER, idle: LATER }, 'ended'],
  ['ended, and past both ends since', { ended: -LATER, absolute: -1, idle: -1 }, 'ended'],
])('a session that is %s', (_name, times, life) => {
  const isLive = life === 'live'

  test(`is ${life} by the rule`, async () => {
    const state = await arrange(times)
    expect(lifeAt(state, now)).toBe(life)
    const verdict = decide(presented(), state, { arrivedAt: now, since: now, now }, t.config)
    expect(verdict).toEqual(isLive ? { kind: 'rotate' } : { kind: 'refuse', reason: life })
  })

  test(`is ${life} to every statement`, async () => {
    await arrange(times)
    const filter = { userId: user.id, limit: 1000 }
    expect({
      listed: includes((await listLive(t.db, now, filter)).sessions),
      listedAsEnded: includes((await listEnded(t.db, now, filter)).sessions),
      bearer: (await findLive(t.db, now, session.sid)) !== undefined,
      // Last, because it changes the row.
      hotPath: await rotates(),
    }).toEqual({ listed: isLive, listedAsEnded: !isLive, bearer: isLive, hotPath: isLive })
  })

  // Its idle end alone is no reason to leave it: see endableAt.
  const endable = life !== 'ended' && times.absolute > 0
  test(`is ${endable ? '' : 'not '}there to be ended`, async () => {
    const { id: userId } = user
    const [cause, before] = ['operator', now] as const
    await arrange(times)
    expect(await transact(t.db, (tx) => endFamily(tx, session.sid, now, cause))).toBe(endable)
    await arrange(times)
    const ofUser = await transact(t.db, (tx) => endFamiliesOf(tx, now, { userId, cause, except: undefined }))
    expect(ofUser).toEqual(endable ? [session.sid] : [])
    await arrange(times)
    const all = { before, cause, after: '00000000-0000-0000-0000-000000000000', limit: 10 }
    const { ended } = await transact(t.db, (tx) => endFamiliesBefore(tx, now, all))
    expect(ended).toMatchObject(endable ? [{ id: session.sid, userId }] : [])
  })
})

describe.each<[string, Times & { arrived: number }, 'live' | 'expired']>([
  ['arrived before the idle end and waited past it', { absolute: LATER, idle: -1, arrived: -2 }, 'live'],
  ['arrived at the idle end', { absolute: LATER, idle: -1, arrived: -1 }, 'expired'],
  ['arrived after the idle end', { absolute: LATER, idle: -2, arrived: -1 }, 'expired'],
  ['arrived before the absolute end and waited until it', { absolute: 0, idle: LATER, arrived: -1 }, 'expired'],
  ['arrived before both ends and waited past them', { absolute: -1, idle: -1, arrived: -2 }, 'expired'],
])('to a refresh that %s', (_name, { arrived, ...times }, life) => {
  test(`a session is ${life}, by the rule and on the hot path`, async () => {
    const state = await arrange(times)
    const arrivedAt = after(arrived)
    expect(lifeAt(state, now, arrivedAt)).toBe(life)
    expect(decide(presented(), state, { arrivedAt, since: arrivedAt, now }, t.config).kind).toBe(
      life === 'live' ? 'rotate' : 'refuse',
    )
    expect(await rotates(arrivedAt)).toBe(life === 'live')
  })
})

test('where the account is disabled, a live session is of no use', async () => {
  await arrange({ absolute: LATER, idle: LATER })
  await t.db.updateTable('users').set({ disabled_at: now }).where('id', '=', user.id).execute()
  const family = await findFamily(t.db, session.sid)
  expect(decide(presented(), family?.state, { arrivedAt: now, since: now, now }, t.config)).toEqual({
    kind: 'refuse',
    reason: 'user_disabled',
  })
  expect(await findLive(t.db, now, session.sid)).toBeUndefined()
  expect(await rotates()).toBe(false)
  await t.db.updateTable('users').set({ disabled_at: null }).where('id', '=', user.id).execute()
})

test.each<[Omit<Times, 'ended'>, number]>([
  [{ absolute: 2000, idle: 1000 }, 1000],
  [{ absolute: 1000, idle: 2000 }, 1000],
  [{ absolute: 1000, idle: 1000 }, 1000],
])('a family with the ends %j ends, if unused, at the earlier one', async (times, expected) => {
  expect(endsIfUnused(await arrange(times))).toEqual(after(expected))
})
