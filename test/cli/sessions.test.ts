import { stripVTControlCharacters } from 'node:util'
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { keyHolder } from '../sessions/key-holder.ts'
import { createTestApp, TEST_PASSWORD } from '../support/app.ts'
import { sidOf } from '../support/jwt.ts'
import { run } from './support.ts'

interface Listed {
  sessions: { id: string; email: string; client_id: string; user_agent: string | null }[]
  more: boolean
}

test('live sessions are listed and ended', async () => {
  await using t = await createTestApp()
  const cli = (...args: string[]) => run(args, { env: t.env })
  const list = async (...args: string[]) => JSON.parse((await cli('sessions', 'list', '--json', ...args)).out) as Listed
  expect((await cli('sessions', 'list')).out).toBe('No live sessions.\n')

  await t.signUp('alice@example.com')
  await t.signUp('bob@example.com')
  const last = await t.login({ email: 'alice@example.com', password: TEST_PASSWORD, client_id: 'web' })
  expect(last.statusCode).toBe(200)

  const all = await list()
  expect(all).toMatchObject({
    sessions: [
      { email: 'alice@example.com', client_id: 'web' },
      { email: 'bob@example.com' },
      { email: 'alice@example.com' },
    ],
    more: false,
  })
  expect(all.sessions[0]).toEqual({
    id: expect.any(String),
    user_id: expect.any(String),
    email: 'alice@example.com',
    client_id: 'web',
    bound: false,
    created_at: expect.any(String),
    last_used_at: expect.any(String),
    expires_at: expect.any(String),
    user_agent: 'lightMyRequest',
    address: '127.0.0.1',
  })
  expect(await list('--limit', '2')).toMatchObject({ sessions: [{}, {}], more: true })
  expect((await list('--user', 'alice@example.com')).sessions).toHaveLength(2)

  const [first] = all.sessions
  expect((await cli('sessions', 'end', first?.id ?? '')).code).toBe(0)
  expect(JSON.parse((await cli('sessions', 'end', first?.id ?? '', '--json')).out)).toEqual({
    id: first?.id,
    ended: 0,
    state: 'ended',
  })
  expect((await cli('sessions', 'end', '--user', 'alice@example.com')).out).toBe(
    'Ended 1 session of alice@example.com.\n',
  )
  expect((await list()).sessions.map(({ email }) => email)).toEqual(['bob@example.com'])
})

test('a session that is bound to a key is told from others, in the list and in its story', async () => {
  await using t = await createTestApp()
  const { email, password } = await t.signUp('alice@example.com')
  const cli = async (...args: string[]) => (await run(['sessions', ...args], { env: t.env, columns: 400 })).out
  const { access_token } = (await t.login({ email, password }, keyHolder(t).proof('/login'))).json()
  const sid = sidOf(access_token)
  const lines = (await cli('list')).split('\n')
  expect(lines.find((line) => line.includes(sid))).toContain(' bound ')
  expect(lines.filter((line) => line.includes(' bearer '))).toHaveLength(1)
  const { sessions } = JSON.parse(await cli('list', '--json')) as { sessions: { id: string; bound: boolean }[] }
  expect(sessions.map(({ id, bound }) => [id === sid, bound])).toEqual([
    [true, true],
    [false, false],
  ])
  expect(await cli('why', sid)).toMatch(`Session ${sid} of ${email}, bound to a key, is live: `)
  expect(JSON.parse(await cli('why', sid, '--json'))).toMatchObject({ bound: true })
  await cli('end', sid)
  expect(await cli('why', sid)).toMatch(`Session ${sid} of ${email}, bound to a key, ended at `)
  const story = JSON.parse(await cli('why', email, '--json')) as { sessions: { bound: boolean }[] }
  expect(story.sessions.map(({ bound }) => bound)).toEqual([true, false])
  await t.db.deleteFrom('families').where('id', '=', sid).execute()
  expect(JSON.parse(await cli('why', sid, '--json'))).toMatchObject({ state: 'ended', bound: null })
})

test('a session past only its idle end is ended, and verifiers are told: an access token of it may live', async () => {
  await using t = await createTestApp()
  await t.signUp('alice@example.com')
  const { id: sid } = await t.db.selectFrom('families').select('id').executeTakeFirstOrThrow()
  const idle = { rotated_at: new Date(t.deps.clock().getTime() - 20 * 86_400_000) }
  await t.db.updateTable('families').set(idle).where('id', '=', sid).execute()
  const { out } = await run(['sessions', 'end', sid, '--json'], { env: t.env })
  expect(JSON.parse(out)).toEqual({ id: sid, ended: 1, state: 'ended' })
  expect(await t.db.selectFrom('revocations').select('sid').execute()).toEqual([{ sid }])
})

test('what a stranger sent as User-Agent does not drive the terminal', async () => {
  await using t = await createTestApp()
  const { userId } = await t.signUp('alice@example.com')
  // A header could not hold all of these; a row written by other means could.
  await t.db
    .updateTable('families')
    .set({ user_agent: '\x1b]0;owned\x07\x9b31m\u202egnp.exe' })
    .where('user_id', '=', userId)
    .execute()
  const { out } = await run(['sessions', 'list'], { env: t.env, columns: 400 })
  expect(out).toContain('\ufffd]0;owned\ufffd\ufffd31m\ufffdgnp.exe')
})

test('lines fit the terminal, and are whole in a pipe', async () => {
  await using t = await createTestApp()
  await t.signUp('alice@example.com')
  const width = (out: string) =>
    Math.max(
      ...stripVTControlCharacters(out)
        .split('\n')
        .map((line) => line.length),
    )
  expect(width((await run(['sessions', 'list'], { env: t.env, columns: 80 })).out)).toBe(80)
  const piped = (await run(['sessions', 'list'], { env: t.env })).out
  expect(piped).toContain('lightMyRequest')
  expect(piped).not.toContain('…')
})

test('all sessions end, or those of before a backup; others go on', async () => {
  await using t = await createTestApp()
  const cli = (...args: string[]) => run(['sessions', 'end', ...args, '--as', 'ada'], { env: t.env })
  const [old, young] = [await t.signUp(), await t.signUp()]
  await t.db
    .updateTable('families')
    .set({ created_at: new Date('2026-01-01T00:00:00Z') })
    .where('user_id', '=', old.userId)
    .execute()

  expect(await cli('--all', '--before', '2026-02-01T00:00:00Z')).toMatchObject({ code: 2 })
  expect((await cli('--all', '--yes', '--before', '2026-02-01T00:00:00Z')).out).toBe('Ended 1 session.\n')
  expect((await t.refresh(old.refreshToken)).statusCode).toBe(401)
  expect((await t.refresh(young.refreshToken)).statusCode).toBe(200)

  expect(JSON.parse((await cli('--all', '--yes', '--json')).out)).toEqual({ ended: 1, before: null })
  expect((await t.refresh(young.refreshToken)).statusCode).toBe(401)
  const events = t.db.selectFrom('audit').select(['reason', 'actor', 'user_id']).where('type', '=', 'session.ended')
  expect(await events.orderBy('seq').execute()).toEqual(
    [old, young].map(({ userId }) => ({ reason: 'operator', actor: 'operator:ada', user_id: userId })),
  )
})

/** All of a session but what tells it from others. */
const COPIED = [
  'user_id',
  'auth_time',
  'created_at',
  'expires_at',
  'window_started_at',
  'current_hash',
  'generation',
  'rotated_at',
  'idle_seconds',
  'remember',
  'client_id',
  'delivery',
  'scope',
  'audience',
  'amr',
] as const

test('more sessions than fit into one transaction end', async () => {
  await using t = await createTestApp({ env: { SESSIONS_PER_USER: '1000' } })
  const { refreshToken } = await t.signUp()
  await t.db
    .insertInto('families')
    .columns(['id', ...COPIED])
    .expression((eb) =>
      eb
        .selectFrom('families as f')
        .crossJoin(sql<{ n: number }>`generate_series(1, 450)`.as('s'))
        .select([sql<string>`gen_random_uuid()`.as('id'), ...COPIED]),
    )
    .execute()
  expect((await run(['sessions', 'end', '--all', '--yes'], { env: t.env })).out).toBe('Ended 451 sessions.\n')
  expect((await t.refresh(refreshToken)).statusCode).toBe(401)
})

test.each([
  [['--all', '--user', 'a@example.com']],
  [['--before', '2026-02-01T00:00:00Z']],
  [['--yes']],
  [['--all', '--yes', '--before', '2026-02-01']],
  [['--all', '--yes', '--before', '2026-02-01T00:00:00']],
  [['--all', '--yes', '--before', 'yesterday']],
  [['--all', '--yes', '--before', '2026-13-01T00:00:00Z']],
])('%j is refused', async (args) => {
  expect((await run(['sessions', 'end', ...args])).code).toBe(2)
})
