import { afterAll, describe, expect, test } from 'vitest'
import { createTestApp } from '../../support/app.ts'
import { atOnce } from '../../support/at-once.ts'
import { claimsOf } from '../../support/jwt.ts'
import {
  eventsOf,
  expectRefused,
  family,
  granted,
  isLive,
  refresh,
  register,
  restore,
  signIn,
  startApp,
  stopClock,
} from '../support.ts'

const apps = {
  standard: await startApp(),
  strict: await startApp({ REFRESH_GRACE_SECONDS: '0' }),
  recovering: await startApp({ REFRESH_LATE_RETRY: 'recover' }),
  distrusting: await startApp({ REFRESH_ROLL_FORWARD: 'off' }),
}
const t = apps.standard
afterAll(async () => {
  for (const app of Object.values(apps)) await app[Symbol.asyncDispose]()
})

const users = {
  standard: await register(apps.standard),
  strict: await register(apps.strict),
  recovering: await register(apps.recovering),
  distrusting: await register(apps.distrusting),
}
const travel = {
  standard: stopClock(apps.standard),
  strict: stopClock(apps.strict),
  recovering: stopClock(apps.recovering),
  distrusting: stopClock(apps.distrusting),
}

const GRACE = 10
const HOUR = 3600
const DAY = 24 * HOUR

describe.each(['body', 'cookie'] as const)('a refresh token in the %s', (via) => {
  const start = (app: keyof typeof apps = 'standard', body = {}) => signIn(apps[app], users[app], via, body)

  test('every refresh returns a new refresh token and a new access token', async () => {
    const { token, accessToken, sid } = await start()
    const first = await refresh(t, via, token)
    const second = await refresh(t, via, granted(first))
    const third = await refresh(t, via, granted(second))
    expect(new Set([token, granted(first), granted(second), granted(third)]).size).toBe(4)
    const accessTokens = [accessToken, ...[first, second, third].map((answer) => answer.json().access_token as string)]
    expect(new Set(accessTokens.map((each) => claimsOf(each).jti)).size).toBe(4)
    expect(new Set(accessTokens.map((each) => claimsOf(each).sid))).toEqual(new Set([sid]))
    expect((await family(t, sid)).generation).toBe(3)
  })

  test('the predecessor within the grace gets the same successor and a fresh access token', async () => {
    const { token, sid } = await start()
    const first = await refresh(t, via, token)
    travel.standard(GRACE)
    const again = await refresh(t, via, token)
    expect(granted(again)).toBe(granted(first))
    expect(claimsOf(again.json().access_token).jti).not.toBe(claimsOf(first.json().access_token).jti)
    expect((await family(t, sid)).generation).toBe(1)
    expect(await eventsOf(t, sid)).toEqual([])
    granted(await refresh(t, via, granted(again)))
  })

  test('a millisecond after the grace the predecessor is reuse', async () => {
    const { token, sid } = await start()
    const successor = granted(await refresh(t, via, token))
    travel.standard(GRACE + 0.001)
    expectRefused(await refresh(t, via, token))
    expectRefused(await refresh(t, via, successor))
    expect(await family(t, sid)).toMatchObject({ end_cause: 'reuse_detected' })
    expect(await eventsOf(t, sid)).toEqual(['refresh.reuse_detected late_retry', 'session.ended reuse_detected'])
  })

  test('the grace runs from the first use and does not slide', async () => {
    const { token, sid } = await start()
    granted(await refresh(t, via, token))
    for (let i = 0; i < 3; i++) {
      travel.standard(3)
      granted(await refresh(t, via, token))
    }
    travel.standard(2)
    expectRefused(await refresh(t, via, token))
    expect(await isLive(t, sid)).toBe(false)
  })

  test('the grace is over once the successor has been used', async () => {
    const { token, sid } = await start()
    const second = granted(await refresh(t, via, token))
    const third = granted(await refresh(t, via, second))
    expectRefused(await refresh(t, via, token))
    for (const each of [second, third]) expectRefused(await refresh(t, via, each))
    expect(await eventsOf(t, sid)).toEqual(['refresh.reuse_detected older_generation', 'session.ended reuse_detected'])
  })

  test('the same Idempotency-Key is a retry at any time while the successor is unused', async () => {
    const { token, sid } = await start()
    const first = granted(await refresh(t, via, token, { key: 'attempt-1' }))
    travel.standard(5 * HOUR)
    expect(granted(await refresh(t, via, token, { key: 'attempt-1' }))).toBe(first)
    travel.standard(5 * HOUR)
    expect(granted(await refresh(t, via, token, { key: 'attempt-1' }))).toBe(first)
    expect((await family(t, sid)).generation).toBe(1)

    granted(await refresh(t, via, first, { key: 'attempt-2' }))
    expectRefused(await refresh(t, via, token, { key: 'attempt-1' }))
    expect(await isLive(t, sid)).toBe(false)
  })

  test.each([
    ['another key', 'attempt-1', 'attempt-2', ['refresh.key_mismatch other_key']],
    ['no key after a key', 'attempt-1', undefined, ['refresh.key_mismatch no_key']],
    ['a key after none', undefined, 'attempt-2', []],
  ])('within the grace %s is a retry, and after it reuse', async (_name, first, second, noted) => {
    const keyed = (key: string | undefined) => (key === undefined ? {} : { key })
    const { token, sid } = await start()
    const successor = granted(await refresh(t, via, token, keyed(first)))
    expect(granted(await refresh(t, via, token, keyed(second)))).toBe(successor)
    travel.standard(GRACE + 1)
    expectRefused(await refresh(t, via, token, keyed(second)))
    expect(await eventsOf(t, sid)).toEqual([
      ...noted,
      'refresh.reuse_detected other_idempotency_key',
      'session.ended reuse_detected',
    ])
  })

  test('without a grace the same key is a retry and anything else is reuse, even in the same millisecond', async () => {
    const kept = await start('strict')
    const successor = granted(await refresh(apps.strict, via, kept.token, { key: 'attempt-1' }))
    expect(granted(await refresh(apps.strict, via, kept.token, { key: 'attempt-1' }))).toBe(successor)
    expect(await isLive(apps.strict, kept.sid)).toBe(true)

    for (const key of ['attempt-2', undefined]) {
      const { token, sid } = await start('strict')
      granted(await refresh(apps.strict, via, token, { key: 'attempt-1' }))
      expectRefused(await refresh(apps.strict, via, token, key === undefined ? {} : { key }))
      expect(await isLive(apps.strict, sid)).toBe(false)
    }
  })

  test('fifty parallel refreshes within a grace get one identical successor', async () => {
    const { token, sid } = await start()
    const answers = await atOnce(50, () => refresh(t, via, token))
    const successors = new Set(answers.map(granted))
    expect(successors.size).toBe(1)
    expect((await family(t, sid)).generation).toBe(1)
    const [successor = ''] = successors
    granted(await refresh(t, via, successor))
  })

  test('of fifty parallel refreshes without a grace exactly one succeeds, and the family ends', async () => {
    const { token, sid } = await start('strict')
    const answers = await atOnce(50, () => refresh(apps.strict, via, token))
    const winners = answers.filter((answer) => answer.statusCode === 200)
    expect(winners).toHaveLength(1)
    for (const answer of answers.filter((each) => !winners.includes(each))) expectRefused(answer)
    expect(await family(apps.strict, sid)).toMatchObject({ end_cause: 'reuse_detected' })
    for (const answer of winners) expectRefused(await refresh(apps.strict, via, granted(answer)))
    const events = await eventsOf(apps.strict, sid)
    expect(events.filter((event) => event.startsWith('session.ended'))).toHaveLength(1)
  })

  test('fifty parallel refreshes without a grace but with one key get one identical successor', async () => {
    const { token, sid } = await start('strict')
    const answers = await atOnce(50, () => refresh(apps.strict, via, token, { key: 'attempt-1' }))
    expect(new Set(answers.map(granted)).size).toBe(1)
    expect(await isLive(apps.strict, sid)).toBe(true)
  })

  test('REFRESH_LATE_RETRY=recover gives a late retry another successor, and the unused one is reuse', async () => {
    const app = apps.recovering
    const { token, sid } = await start('recovering')
    const lost = granted(await refresh(app, via, token))
    travel.recovering(GRACE + 30)
    const recovered = granted(await refresh(app, via, token))
    expect(recovered).not.toBe(lost)
    expect(await eventsOf(app, sid)).toEqual(['refresh.recovered_late'])
    // The presented token stays the previous one, with a new grace.
    travel.recovering(GRACE)
    expect(granted(await refresh(app, via, token))).toBe(recovered)
    travel.recovering(1)
    const another = granted(await refresh(app, via, token))
    expect(new Set([lost, recovered, another]).size).toBe(3)
    granted(await refresh(app, via, another))
    expectRefused(await refresh(app, via, lost))
    expect(await family(app, sid)).toMatchObject({ end_cause: 'reuse_detected' })
  })

  test.each([
    ['on the first request', 'attempt-1', undefined],
    ['on the retry', undefined, 'attempt-1'],
    ['on both, not the same', 'attempt-1', 'attempt-2'],
  ])('REFRESH_LATE_RETRY=recover does not forgive a late retry with a key %s', async (_name, first, second) => {
    const keyed = (key: string | undefined) => (key === undefined ? {} : { key })
    const { token, sid } = await start('recovering')
    granted(await refresh(apps.recovering, via, token, keyed(first)))
    travel.recovering(GRACE + 1)
    expectRefused(await refresh(apps.recovering, via, token, keyed(second)))
    expect(await isLive(apps.recovering, sid)).toBe(false)
  })

  test('after lost commits the family goes on from the token that is ahead of the database', async () => {
    const { token, sid } = await start()
    const copy = await family(t, sid)
    const first = granted(await refresh(t, via, token))
    const second = granted(await refresh(t, via, first))
    await restore(t, copy)
    const answer = await refresh(t, via, second)
    const third = granted(answer)
    expect(new Set([token, first, second, third]).size).toBe(4)
    expect(await eventsOf(t, sid)).toEqual(['refresh.rolled_forward'])
    expect(await family(t, sid)).toMatchObject({ generation: 3, previous_generation: 2 })
    // The retry of that request is a retry like any other, and what came before is older.
    expect(granted(await refresh(t, via, second))).toBe(third)
    granted(await refresh(t, via, third))
    expectRefused(await refresh(t, via, first))
    expect(await isLive(t, sid)).toBe(false)
  })

  test('two clients that both lost a commit do not both go on', async () => {
    const { token, sid } = await start()
    const copy = await family(t, sid)
    const forgotten = granted(await refresh(t, via, token))
    await restore(t, copy)
    const remembered = granted(await refresh(t, via, token))
    expect(remembered).not.toBe(forgotten)
    // Of the same generation as the current one, but not it.
    granted(await refresh(t, via, forgotten))
    expectRefused(await refresh(t, via, remembered))
    expect(await isLive(t, sid)).toBe(false)
  })

  test('REFRESH_ROLL_FORWARD=off refuses a token ahead of the database, and the family lives', async () => {
    const app = apps.distrusting
    const { token, sid } = await start('distrusting')
    const copy = await family(app, sid)
    const first = granted(await refresh(app, via, token))
    await restore(app, copy)
    expectRefused(await refresh(app, via, first))
    expect(await eventsOf(app, sid)).toEqual(['refresh.refused ahead_of_database'])
    granted(await refresh(app, via, token))
  })

  test('an old token that is ahead of a restored copy revives nothing that has ended', async () => {
    const { token, sid } = await start()
    const copy = await family(t, sid)
    const first = granted(await refresh(t, via, token))
    await restore(t, { ...copy, ended_at: t.deps.clock(), end_cause: 'logout' })
    expectRefused(await refresh(t, via, first))
    expect(await isLive(t, sid)).toBe(false)
  })

  test('any replica knows an old generation as reuse, also one that starts later', async () => {
    const { token, sid } = await start()
    let current = token
    for (let i = 0; i < 5; i++) current = granted(await refresh(t, via, current))
    await using replica = await createTestApp({ join: t })
    replica.deps.clock = t.deps.clock
    expectRefused(await refresh(replica, via, token))
    expectRefused(await refresh(t, via, current))
    expect(await family(t, sid)).toMatchObject({ end_cause: 'reuse_detected' })
  })

  test('a replica answers the retry of what another rotated with the same successor', async () => {
    const { token } = await start()
    await using replica = await createTestApp({ join: t })
    replica.deps.clock = t.deps.clock
    const [here, there] = await Promise.all([refresh(t, via, token), refresh(replica, via, token)])
    expect(granted(here)).toBe(granted(there))
  })

  test('the idle end counts from the last rotation, to the millisecond', async () => {
    const idle = via === 'body' ? 14 * DAY : 12 * HOUR
    const kept = await start()
    expect(kept.answer.json().refresh_expires_in).toBe(idle)
    travel.standard(idle - 0.001)
    const token = granted(await refresh(t, via, kept.token))
    travel.standard(idle - 0.001)
    if (via === 'body') granted(await refresh(t, via, token))

    const late = await start()
    const successor = granted(await refresh(t, via, late.token))
    // A retry is no rotation: it does not prolong anything.
    travel.standard(GRACE)
    granted(await refresh(t, via, late.token))
    travel.standard(idle - GRACE)
    expectRefused(await refresh(t, via, successor))
    expect(await eventsOf(t, late.sid)).toEqual([])
  })

  test('the absolute end is fixed at sign-in and no refresh moves it', async () => {
    const [absolute, step] = via === 'body' ? [30 * DAY, 9 * DAY] : [DAY, 9 * HOUR]
    const { sid, ...started } = await start()
    const { expires_at } = await family(t, sid)
    let { token } = started
    for (let elapsed = step; elapsed < absolute; elapsed += step) {
      travel.standard(step)
      const answer = await refresh(t, via, token)
      token = granted(answer)
      const idle = via === 'body' ? 14 * DAY : 12 * HOUR
      expect(answer.json().refresh_expires_in).toBe(Math.min(idle, absolute - elapsed))
    }
    expect((await family(t, sid)).expires_at).toEqual(expires_at)
    travel.standard((absolute % step) - 0.001)
    token = granted(await refresh(t, via, token))
    travel.standard(0.001)
    expectRefused(await refresh(t, via, token))
    expect((await family(t, sid)).expires_at).toEqual(expires_at)
  })

  test('retries in five rotations running are one audit event and one count, and end nothing', async () => {
    const counted = async () => (await t.deps.metrics.retryStreaks.get()).values[0]?.value ?? 0
    const before = await counted()
    const { token, sid } = await start()
    let current = token
    const rotate = async (retries: number) => {
      const next = granted(await refresh(t, via, current))
      for (let i = 0; i < retries; i++) granted(await refresh(t, via, current))
      current = next
    }
    for (const retries of [1, 3, 1, 2]) await rotate(retries)
    // One rotation without a retry starts the count anew.
    await rotate(0)
    for (const retries of [1, 1, 1, 1]) await rotate(retries)
    expect(await eventsOf(t, sid)).toEqual([])
    for (const retries of [2, 1, 1]) await rotate(retries)
    expect(await eventsOf(t, sid)).toEqual(['refresh.retries_in_a_row'])
    expect(await counted()).toBe(before + 1)
    granted(await refresh(t, via, current))
  })
})

test('a browser session that is remembered lasts as long as a native one', async () => {
  const { token, answer, sid } = await signIn(t, users.standard, 'cookie', { remember: true })
  expect(answer.json().refresh_expires_in).toBe(14 * DAY)
  const { created_at, expires_at } = await family(t, sid)
  expect(expires_at.getTime() - created_at.getTime()).toBe(30 * DAY * 1000)
  travel.standard(14 * DAY - 1)
  granted(await refresh(t, 'cookie', token))
})

test.each(['', 'x'.repeat(256)])('an Idempotency-Key of unfit length is 400 and rotates nothing', async (key) => {
  const { token, sid } = await signIn(t, users.standard)
  const answer = await refresh(t, 'body', token, { headers: { 'idempotency-key': key } })
  expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_request'])
  expect((await family(t, sid)).generation).toBe(0)
  const page = { 'idempotency-key': key, origin: t.config.ISSUER }
  const refused = await refresh(t, 'body', token, { headers: page })
  expect(refused.json().code, 'a page of another client hears of its origin alone').toBe('origin_not_allowed')
})

test('the key of one exchange means nothing to another family', async () => {
  const [one, other] = [await signIn(t, users.standard), await signIn(t, users.standard)]
  const answers = [
    await refresh(t, 'body', one.token, { key: 'attempt-1' }),
    await refresh(t, 'body', other.token, { key: 'attempt-1' }),
  ]
  expect(new Set(answers.map(granted)).size).toBe(2)
})
