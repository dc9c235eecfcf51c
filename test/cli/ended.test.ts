import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { prunings } from '../../src/deps.ts'
import { prune } from '../../src/prune.ts'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { sidOf } from '../support/jwt.ts'
import { run } from './support.ts'

// Why Bob is signed out: whoever asks knows Bob, and no id of a session.

interface Ended {
  id: string
  email: string | null
  client_id: string | null
  ended_at: string
  cause: string
  ended_from: string | null
}

/** Without how long ago it was: of two commands one after the other, the second may say a second more. */
const timeless = (text: string) => text.replace(/\((now|\d+ \w+ ago|in \d+ \w+)\)/g, '(at some time)')

const cli = (t: TestApp, ...args: string[]) => run(args, { env: t.env })
const json = async <T>(t: TestApp, ...args: string[]) => JSON.parse((await cli(t, ...args, '--json')).out) as T
const listEnded = async (t: TestApp, ...args: string[]) =>
  (await json<{ sessions: Ended[] }>(t, 'sessions', 'list', '--ended', ...args)).sessions

async function signIn(t: TestApp, email: string, client_id = 'native') {
  const answer = await t.login({ email, password: TEST_PASSWORD, client_id })
  expect(answer.statusCode).toBe(200)
  const { access_token, refresh_token } = answer.json<{ access_token: string; refresh_token: string }>()
  return { id: sidOf(access_token), refresh_token }
}

/** The command goes by the database's clock, which cannot travel: the session began earlier instead. */
async function age(t: TestApp, id: string, hours: { begun: number; used: number }): Promise<void> {
  const ago = (n: number) => new Date(t.deps.clock().getTime() - n * 3_600_000)
  const created_at = ago(hours.begun)
  const times = { created_at, rotated_at: ago(hours.used), expires_at: new Date(created_at.getTime() + 24 * 3_600_000) }
  await t.db.updateTable('families').set(times).where('id', '=', id).execute()
}

/** Bob with one session for each way to be over, ended in this order, and one that is live. */
async function bob(t: TestApp) {
  await t.register('bob@example.com', TEST_PASSWORD)
  const [old, idle] = [await signIn(t, 'bob@example.com', 'web'), await signIn(t, 'bob@example.com', 'web')]
  await age(t, old.id, { begun: 24.5, used: 20 })
  await age(t, idle.id, { begun: 12.1, used: 12.1 })
  const out = await signIn(t, 'bob@example.com')
  await t.inject({
    method: 'POST',
    url: '/logout',
    headers: { 'content-type': 'application/json' },
    payload: { refresh_token: out.refresh_token },
  })
  const byOperator = await signIn(t, 'bob@example.com')
  // The command has a clock of its own, and each may be 50 ms wrong.
  await sleep(120)
  await cli(t, 'sessions', 'end', byOperator.id)
  const live = await signIn(t, 'bob@example.com')
  return { old, idle, out, byOperator, live }
}

test('ended sessions are listed with cause, time and origin, those that ran out included', async () => {
  await using t = await createTestApp()
  expect((await cli(t, 'sessions', 'list', '--ended')).out).toBe('No ended sessions.\n')
  const { old, idle, out, byOperator } = await bob(t)
  await t.signUp('alice@example.com')
  const ended = await listEnded(t)
  expect(ended.map(({ id, cause, ended_from }) => ({ id, cause, ended_from }))).toEqual([
    { id: byOperator.id, cause: 'operator', ended_from: null },
    { id: out.id, cause: 'logout', ended_from: '127.0.0.1' },
    { id: idle.id, cause: 'idle', ended_from: null },
    { id: old.id, cause: 'idle', ended_from: null },
  ])
  const hoursAgo = ended.map(
    ({ ended_at }) => Math.round((t.deps.clock().getTime() - Date.parse(ended_at)) / 360_000) / 10,
  )
  expect(hoursAgo).toEqual([0, 0, 0.1, 8])
  expect(ended[1]).toMatchObject({ email: 'bob@example.com', client_id: 'native', user_agent: 'lightMyRequest' })
  expect(await listEnded(t, '--user', 'alice@example.com')).toEqual([])
  expect(await listEnded(t, '--limit', '1')).toHaveLength(1)

  await age(t, old.id, { begun: 24.5, used: 2 })
  expect((await listEnded(t)).find(({ id }) => id === old.id)).toMatchObject({ cause: 'absolute' })
  const { out: table } = await cli(t, 'sessions', 'list', '--ended', '--limit', '2')
  expect(table).toMatch(/^ID +USER +CLIENT +STARTED +ENDED +CAUSE +ENDED FROM +USER AGENT\n/)
  expect(table).toContain('There are more; these 2 ended last.')
})

test('those that were pruned are listed from the trail', async () => {
  await using t = await createTestApp()
  const { old, out } = await bob(t)
  const before = (await listEnded(t)).find(({ id }) => id === out.id)
  await t.db
    .updateTable('families')
    .set({ expires_at: new Date(0) })
    .where('id', '=', out.id)
    .execute()
  expect(await prune(t.deps, prunings(t.config))).toMatchObject({ families: 1 })
  expect((await listEnded(t)).find(({ id }) => id === out.id)).toMatchObject({
    email: 'bob@example.com',
    client_id: 'native',
    cause: 'logout',
    ended_from: '127.0.0.1',
    ended_at: before?.ended_at,
  })
  await cli(t, 'users', 'delete', 'bob@example.com', '--yes')
  const ended = await listEnded(t)
  // One had ended by its age before, which is not for the trail to tell.
  expect(ended).toHaveLength(4)
  expect(ended.find(({ id }) => id === old.id)).toBeUndefined()
  expect(new Set(ended.map(({ email }) => email))).toEqual(new Set([null]))
})

interface Told {
  user_id: string
  email: string | null
  notes: string[]
  sessions: { id: string; state: string; sentence: string }[]
  more: boolean
}

test('sessions why tells of an account, by address or id, what became of its sessions', async () => {
  await using t = await createTestApp()
  const { old, idle, out, byOperator, live } = await bob(t)
  const told = await json<Told>(t, 'sessions', 'why', 'Bob@Example.com')
  expect(told).toMatchObject({ email: 'bob@example.com', notes: [], more: false })
  expect(told.sessions.map(({ id, state }) => [id, state])).toEqual([
    [live.id, 'live'],
    [byOperator.id, 'ended'],
    [out.id, 'ended'],
    [idle.id, 'expired'],
    [old.id, 'expired'],
  ])
  const again = await json<Told>(t, 'sessions', 'why', told.user_id.toUpperCase())
  expect(timeless(JSON.stringify(again))).toBe(timeless(JSON.stringify(told)))

  const text = (await cli(t, 'sessions', 'why', 'bob@example.com')).out
  expect(text.split('\n\n')[0]).toBe('bob@example.com: 5 sessions, 1 of them live.')
  for (const { sentence } of told.sessions) expect(timeless(text)).toContain(timeless(sentence))
  expect(text).toContain('because its user signed out from 127.0.0.1.')
  expect((await cli(t, 'sessions', 'why', 'bob@example.com', '--limit', '2')).out).toMatch(
    /^bob@example\.com: the last 2 sessions, 1 of them live\./,
  )
  // Of a session it is still the one sentence.
  expect((await cli(t, 'sessions', 'why', out.id)).out.trim().split('\n')).toHaveLength(1)

  await cli(t, 'users', 'disable', 'bob@example.com')
  expect((await cli(t, 'sessions', 'why', 'bob@example.com')).out).toMatch(
    /^The account is disabled: nobody can sign in/,
  )
  await cli(t, 'users', 'delete', 'bob@example.com', '--yes')
  const gone = await cli(t, 'sessions', 'why', told.user_id)
  expect(gone).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^account \S+, which is gone: 5 sessions, none of them live\./),
  })
  expect(gone.out).not.toContain('bob')
})

test.each([
  ['019a5c9e-2f6b-7c3d-8e21-5a4f0b9d7c11', 3],
  ['nobody@example.com', 3],
  ['not@an@address', 1],
  ['rt1_abc', 2],
])('sessions why %s has the exit code %i', async (subject, code) => {
  await using t = await createTestApp()
  expect((await cli(t, 'sessions', 'why', subject)).code).toBe(code)
})

test('an account that never signed in is told as that', async () => {
  await using t = await createTestApp()
  await t.register('new@example.com', TEST_PASSWORD)
  expect(await cli(t, 'sessions', 'why', 'new@example.com')).toMatchObject({
    code: 0,
    out: 'new@example.com: no sign-in, or none that anything is known of.\n',
  })
})
