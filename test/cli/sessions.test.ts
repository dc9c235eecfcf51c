import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { createTestApp, TEST_PASSWORD } from '../support/app.ts'
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
