import { expect, test } from 'vitest'
import type { EndCause } from '../../src/audit/events.ts'
import { revoke } from '../oauth/support.ts'
import { mailedReset, reset } from '../sign-in/mailbox.ts'
import { createTestApp, refreshTokenOf, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { addPublicClient } from '../support/clients.ts'
import { sidOf } from '../support/jwt.ts'
import { openMailboxes } from '../support/mailboxes.ts'
import { move, undo } from '../users/address.ts'
import { createTestCli, run } from './support.ts'

const TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \([^)]+\)`
const ORIGIN = 'http://localhost:3000'

interface Why {
  state: string
  cause: string | null
  sentence: string
  events: { type: string; address: string | null }[]
}

async function why(t: TestApp, id: string): Promise<Why> {
  const [human, json] = [
    await run(['sessions', 'why', id], { env: t.env }),
    await run(['sessions', 'why', id, '--json'], { env: t.env }),
  ]
  const answer = JSON.parse(json.out) as Why
  // A second may pass between the two.
  const timeless = (text: string) => text.replace(/\((now|\d+ s ago)\)/, '(moments ago)')
  expect({ code: human.code, out: timeless(human.out) }).toEqual({
    code: answer.state === 'unknown' ? 3 : 0,
    out: timeless(`${answer.sentence}\n`),
  })
  // One sentence on one line.
  expect(answer.sentence).toMatch(/^[^\n]+[^.]\.$/)
  return answer
}

async function signUp(t: TestApp, env = {}) {
  const user = await t.signUp('alice@example.com', TEST_PASSWORD, env)
  return { ...user, id: sidOf(user.accessToken) }
}

async function rotate(t: TestApp, token: string, key?: string): Promise<string> {
  const answer = await t.refresh(token, key === undefined ? {} : { key })
  expect(answer.statusCode).toBe(200)
  return refreshTokenOf(answer)
}

interface Ended {
  end(t: TestApp): Promise<string>
  because: string
  env?: Record<string, string>
  /** There is no address to be told any more. */
  userGone?: true
}

/** How every cause comes about, and what is said of it. A new cause does not compile until it stands here. */
const CAUSES: Record<EndCause, Ended> = {
  logout: {
    end: async (t) => {
      const { id, refreshToken } = await signUp(t)
      await t.inject({
        method: 'POST',
        url: '/logout',
        headers: { 'content-type': 'application/json' },
        payload: { refresh_token: refreshToken },
      })
      return id
    },
    because: 'its user signed out from 127.0.0.1',
  },
  session_ended_by_user: {
    end: async (t) => {
      const { id, accessToken } = await signUp(t)
      await t.inject({ method: 'DELETE', url: `/sessions/${id}`, headers: { authorization: `Bearer ${accessToken}` } })
      return id
    },
    because: 'its user ended it in the list of sessions from 127.0.0.1',
  },
  revoked_by_client: {
    end: async (t) => {
      const { id, refreshToken } = await signUp(t)
      expect((await revoke(t, { token: refreshToken, client_id: 'native' })).statusCode).toBe(200)
      return id
    },
    because: 'its client revoked a token of it from 127.0.0.1',
  },
  reuse_detected: {
    end: async (t) => {
      const { id, refreshToken } = await signUp(t)
      await rotate(t, await rotate(t, refreshToken))
      expect((await t.refresh(refreshToken)).statusCode).toBe(401)
      return id
    },
    because:
      'a refresh token that had been replaced was presented again from 127.0.0.1 (generation 0 when 2 was current): somebody has a copy of it',
  },
  password_changed: {
    end: async (t) => {
      const { id } = await signUp(t)
      const other = await t.login({ email: 'alice@example.com', password: TEST_PASSWORD })
      await t.inject({
        method: 'POST',
        url: '/password',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${other.json<{ access_token: string }>().access_token}`,
        },
        payload: { current_password: TEST_PASSWORD, new_password: 'five loud badgers dance' },
      })
      return id
    },
    because: 'the password of the account was changed from 127.0.0.1',
  },
  password_reset: {
    end: async (t) => {
      const { id, email } = await signUp(t)
      const { token } = await mailedReset(t, email)
      expect((await reset(t, { token }, 'five loud badgers dance')).statusCode).toBe(204)
      return id
    },
    because: 'the password of the account was reset from 127.0.0.1 with what was mailed to its address',
  },
  user_disabled: {
    end: async (t) => {
      const { id } = await signUp(t)
      await run(['users', 'disable', 'alice@example.com'], { env: t.env })
      return id
    },
    because: 'an operator disabled the account',
  },
  user_deleted: {
    end: async (t) => {
      const { id } = await signUp(t)
      expect((await run(['users', 'delete', 'alice@example.com', '--yes'], { env: t.env })).code).toBe(0)
      return id
    },
    because: 'an operator deleted the account',
    userGone: true,
  },
  email_change_undone: {
    end: async (t) => {
      const { id, accessToken } = await signUp(t)
      const moved = { from: 'alice@example.com', to: 'mallory@example.com' }
      await undo(t, await move(t, openMailboxes(t), { accessToken }, moved))
      return id
    },
    because: 'the account was taken back from the mailbox of its former address from 127.0.0.1',
  },
  replaced_by_login: {
    end: async (t) => {
      const { id, refreshToken } = await signUp(t, { client_id: 'web' })
      const headers = { cookie: `__Host-refresh_token=${refreshToken}`, origin: ORIGIN }
      await t.login({ email: 'alice@example.com', password: TEST_PASSWORD, client_id: 'web' }, headers)
      return id
    },
    because: 'somebody signed in again in the same browser from 127.0.0.1, which replaced the cookie of this session',
  },
  too_many_sessions: {
    env: { SESSIONS_PER_USER: '1' },
    end: async (t) => {
      const { id } = await signUp(t)
      await t.login({ email: 'alice@example.com', password: TEST_PASSWORD })
      return id
    },
    because:
      'a sign-in from 127.0.0.1 was one more than an account may have sessions, and this one had gone unused the longest',
  },
  client_disabled: {
    end: async (t) => {
      const { clientId } = await addPublicClient(t, { type: 'native' })
      const { id } = await signUp(t, { client_id: clientId })
      expect(await run(['clients', 'disable', clientId], { env: t.env })).toMatchObject({ code: 0 })
      return id
    },
    because: 'an operator disabled its client, or removed it',
  },
  operator: {
    end: async (t) => {
      const { id } = await signUp(t)
      expect(await run(['sessions', 'end', id], { env: t.env })).toMatchObject({
        code: 0,
        out: `Ended session ${id} of alice@example.com.\n`,
      })
      return id
    },
    because: 'an operator ended it',
  },
}

test.each(Object.entries(CAUSES))('ended: %s', async (cause, { end, because, env = {}, userGone }) => {
  await using t = await createTestApp({ env })
  const id = await end(t)
  const told = await why(t, id)
  expect(told).toMatchObject({ state: 'ended', cause })
  const whose = userGone ? '' : String.raw` of alice@example\.com`
  expect(told.sentence).toMatch(new RegExp(`^Session ${id}${whose} ended at ${TIME} because `))
  expect(told.sentence.split(' because ').slice(1).join(' because ')).toBe(`${because}.`)

  // The trail outlives the row.
  await t.db.deleteFrom('families').where('id', '=', id).execute()
  expect((await why(t, id)).sentence.replace(/\([^)]* ago\)|\(now\)/, '')).toBe(
    told.sentence.replace(/\([^)]* ago\)|\(now\)/, ''),
  )
})

test('a retry that came too late is told as what it may be', async () => {
  await using t = await createTestApp()
  const { id, refreshToken } = await signUp(t)
  await rotate(t, refreshToken)
  t.travel(11)
  expect((await t.refresh(refreshToken)).statusCode).toBe(401)
  expect((await why(t, id)).sentence).toContain(
    'because a refresh token was presented again from 127.0.0.1 (generation 0 when 1 was current) after the time allowed for a retry: either somebody has a copy of it, or its client missed the reply and came back too late.',
  )
})

test('a replay under another key is told as two parties', async () => {
  await using t = await createTestApp()
  const { id, refreshToken } = await signUp(t)
  await rotate(t, refreshToken, 'the-first-request')
  t.travel(11)
  expect((await t.refresh(refreshToken, { key: 'another-request' })).statusCode).toBe(401)
  expect((await why(t, id)).sentence).toContain(
    'by a request other than the one that replaced it: two parties hold the same token.',
  )
})

test('a live session is told with its last use and its end', async () => {
  await using t = await createTestApp()
  const { id } = await signUp(t)
  const { state, cause, sentence, events } = await why(t, id.toUpperCase())
  expect({ state, cause }).toEqual({ state: 'live', cause: null })
  expect(sentence).toMatch(
    new RegExp(`^Session ${id} of alice@example\\.com is live: last used ${TIME}, ends ${TIME} if unused\\.$`),
  )
  expect(events).toMatchObject([{ type: 'login', address: '127.0.0.1' }])
})

/** The command goes by the database's clock, which cannot travel: the session began earlier instead. */
async function age(t: TestApp, id: string, hours: number): Promise<void> {
  const { created_at, rotated_at, expires_at } = await t.db
    .selectFrom('families')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  const before = (date: Date) => new Date(date.getTime() - hours * 3_600_000)
  const times = { created_at: before(created_at), rotated_at: before(rotated_at), expires_at: before(expires_at) }
  await t.db.updateTable('families').set(times).where('id', '=', id).execute()
}

test('a session that nobody used is told as expired', async () => {
  await using t = await createTestApp()
  const { id } = await signUp(t, { client_id: 'web' })
  await age(t, id, 13)
  const { state, cause, sentence } = await why(t, id)
  expect({ state, cause }).toEqual({ state: 'expired', cause: 'idle' })
  expect(sentence).toMatch(
    new RegExp(
      `^Session ${id} of alice@example\\.com expired at ${TIME} because nobody used it for 12 h: it was last used at \\S+Z\\.$`,
    ),
  )
  // Its last access token may still live where sessions may be idle for less than a token lives.
  expect(await run(['sessions', 'end', id], { env: t.env })).toMatchObject({
    code: 0,
    out: expect.stringContaining(`Ended session ${id}`),
  })
})

test('a session that grew too old is told as expired', async () => {
  await using t = await createTestApp()
  const { id } = await signUp(t, { client_id: 'web' })
  await age(t, id, 25)
  await t.db
    .updateTable('families')
    .set({ rotated_at: new Date(t.deps.clock().getTime() - 2 * 3_600_000) })
    .where('id', '=', id)
    .execute()
  const { state, cause, sentence } = await why(t, id)
  expect({ state, cause }).toEqual({ state: 'expired', cause: 'absolute' })
  expect(sentence).toContain('because it had reached its longest lifetime of 24 h.')
  expect(await run(['sessions', 'end', id], { env: t.env })).toMatchObject({
    code: 0,
    out: expect.stringContaining('Nothing to end. Session'),
  })
})

test('of a session that was pruned, the sign-in is left', async () => {
  await using t = await createTestApp()
  const { id } = await signUp(t)
  await t.db.deleteFrom('families').where('id', '=', id).execute()
  const { state, sentence } = await why(t, id)
  expect(state).toBe('expired')
  expect(sentence).toMatch(new RegExp(`started at ${TIME} from 127\\.0\\.0\\.1 and nobody ended it: it expired`))
})

test('a session that never was is exit code 3', async () => {
  await using cli = await createTestCli()
  const id = '019a5c9e-2f6b-7c3d-8e21-5a4f0b9d7c11'
  expect(await cli.run(['sessions', 'why', id])).toMatchObject({
    code: 3,
    out: expect.stringContaining(`Session ${id} is not known`),
  })
  expect(await cli.run(['sessions', 'end', id])).toMatchObject({ code: 3 })
})
