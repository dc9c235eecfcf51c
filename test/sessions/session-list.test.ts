import { randomUUID } from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import { atOnce } from '../support/at-once.ts'
import { forFile } from '../support/for-file.ts'
import {
  bearer,
  eventsOf,
  expectRefused,
  family,
  granted,
  isLive,
  logout,
  refresh,
  register,
  signIn,
  startApp,
  stopClock,
} from './support.ts'

const t = forFile(await startApp())
const travel = stopClock(t)

interface Listed {
  id: string
  client_id: string
  current: boolean
}

async function list(accessToken: string): Promise<Listed[]> {
  const answer = await bearer(t, accessToken, '/sessions')
  expect(answer.statusCode).toBe(200)
  expect(Object.keys(answer.json())).toEqual(['sessions'])
  return answer.json<{ sessions: Listed[] }>().sessions
}

describe('the list of sessions', () => {
  test('shows of each live session of one’s own exactly these fields, the last used first', async () => {
    const user = await register(t)
    const stranger = await signIn(t, await register(t))
    const startedAt = t.deps.clock()
    const browser = await signIn(t, user, 'cookie', {}, { 'user-agent': 'Browser/1 (kind)' })
    travel(60)
    const native = await signIn(t, user, 'body', {}, { 'user-agent': '' })
    travel(60)
    granted(await refresh(t, 'cookie', browser.token, { headers: { 'user-agent': 'Another/2' } }))
    const usedAt = t.deps.clock()

    const answer = await bearer(t, browser.accessToken, '/sessions')
    const after = (from: Date, seconds: number) => new Date(from.getTime() + seconds * 1000).toISOString()
    expect(answer.json()).toEqual({
      sessions: [
        {
          id: browser.sid,
          client_id: 'web',
          created_at: startedAt.toISOString(),
          last_used_at: usedAt.toISOString(),
          expires_at: after(usedAt, 12 * 3600),
          user_agent: 'Browser/1 (kind)',
          address: '127.0.0.1',
          current: true,
        },
        {
          id: native.sid,
          client_id: 'native',
          created_at: after(startedAt, 60),
          last_used_at: after(startedAt, 60),
          expires_at: after(startedAt, 60 + 14 * 24 * 3600),
          user_agent: '',
          address: '127.0.0.1',
          current: false,
        },
      ],
    })
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.body).not.toContain(stranger.sid)
  })

  test('holds nothing that a token could be made of', async () => {
    const user = await register(t)
    const { token, accessToken, sid } = await signIn(t, user)
    const second = granted(await refresh(t, 'body', token))
    const { body } = await bearer(t, accessToken, '/sessions')
    const { current_hash, previous_hash, salt } = await family(t, sid)
    for (const bytes of [current_hash, previous_hash, salt]) {
      for (const encoding of ['hex', 'base64', 'base64url'] as const)
        expect(body).not.toContain(bytes?.toString(encoding))
    }
    for (const text of [token, second, 'rt1_', 'hash', 'salt', 'generation']) expect(body).not.toContain(text)
  })

  test('leaves out what has ended, expired or been idle for too long', async () => {
    const user = await register(t)
    const [ended, idle, expired] = [await signIn(t, user), await signIn(t, user, 'cookie'), await signIn(t, user)]
    await logout(t, 'body', ended.token)
    travel(12 * 3600)
    await t.db.updateTable('families').set({ expires_at: t.deps.clock() }).where('id', '=', expired.sid).execute()
    const { accessToken, sid } = await signIn(t, user)
    expect(await list(accessToken)).toMatchObject([{ id: sid, current: true }])
    expect(await isLive(t, idle.sid)).toBe(true)
  })
})

describe('ending one session', () => {
  test('of one’s own ends it at once and no other', async () => {
    const user = await register(t)
    const [own, other, third] = [await signIn(t, user), await signIn(t, user, 'cookie'), await signIn(t, user)]
    const answer = await bearer(t, own.accessToken, `/sessions/${other.sid}`, 'DELETE')
    expect([answer.statusCode, answer.body]).toEqual([204, ''])
    expectRefused(await refresh(t, 'cookie', other.token))
    expect((await bearer(t, other.accessToken)).statusCode).toBe(401)
    expect(await eventsOf(t, other.sid)).toEqual(['session.ended session_ended_by_user'])
    expect((await list(own.accessToken)).map(({ id }) => id).toSorted()).toEqual([own.sid, third.sid].toSorted())
  })

  test('that is the current one signs out', async () => {
    const { accessToken, token, sid } = await signIn(t, await register(t))
    expect((await bearer(t, accessToken, `/sessions/${sid}`, 'DELETE')).statusCode).toBe(204)
    expect((await bearer(t, accessToken, '/sessions')).statusCode).toBe(401)
    expectRefused(await refresh(t, 'body', token))
  })

  test('of another user is 404 without effect, like one that never existed', async () => {
    const { accessToken } = await signIn(t, await register(t))
    const theirs = await signIn(t, await register(t))
    const refused = await bearer(t, accessToken, `/sessions/${theirs.sid}`, 'DELETE')
    const unknown = await bearer(t, accessToken, `/sessions/${randomUUID()}`, 'DELETE')
    for (const answer of [refused, unknown]) {
      const { instance: _instance, ...body } = answer.json()
      expect([answer.statusCode, body]).toEqual([
        404,
        { type: 'urn:claviger:problem:not_found', title: 'Nothing is here', status: 404, code: 'not_found' },
      ])
    }
    expect(await eventsOf(t, theirs.sid)).toEqual([])
    granted(await refresh(t, 'body', theirs.token))
  })

  test('that has ended or expired already is 404', async () => {
    const user = await register(t)
    const { accessToken } = await signIn(t, user)
    const [ended, expired] = [await signIn(t, user), await signIn(t, user)]
    await logout(t, 'body', ended.token)
    await t.db.updateTable('families').set({ expires_at: t.deps.clock() }).where('id', '=', expired.sid).execute()
    for (const { sid } of [ended, expired]) {
      expect((await bearer(t, accessToken, `/sessions/${sid}`, 'DELETE')).statusCode).toBe(404)
    }
    expect(await eventsOf(t, ended.sid)).toEqual(['session.ended logout'])
    expect(await eventsOf(t, expired.sid)).toEqual([])
  })

  test.each(['x', 'undefined', '1', '...', '00000000-0000-0000-0000-00000000000g', '%27', 'a'.repeat(65)])(
    'with the id %j is 404',
    async (id) => {
      const { accessToken } = await signIn(t, await register(t))
      expect((await bearer(t, accessToken, `/sessions/${id}`, 'DELETE')).statusCode).toBe(404)
    },
  )

  test('by an access token that was narrowed to other scopes is 403 and ends nothing', async () => {
    await using app = await startApp({ SCOPES: 'orders' })
    const { token, sid } = await signIn(app, await register(app))
    const narrow = await refresh(app, 'body', token, { body: { scope: 'orders' } })
    const { access_token } = narrow.json()
    for (const url of [`/sessions/${sid}`, '/sessions', '/sessions?including_current=true']) {
      expect((await bearer(app, access_token, url, 'DELETE')).statusCode).toBe(403)
    }
    expect(await isLive(app, sid)).toBe(true)
  })
})

describe('ending all sessions', () => {
  async function three() {
    const user = await register(t)
    const bystander = await signIn(t, await register(t))
    return { own: await signIn(t, user), others: [await signIn(t, user), await signIn(t, user, 'cookie')], bystander }
  }

  test.each(['/sessions', '/sessions?including_current=false'])('DELETE %s keeps the current one', async (url) => {
    const { own, others, bystander } = await three()
    const answer = await bearer(t, own.accessToken, url, 'DELETE')
    expect([answer.statusCode, answer.body]).toEqual([204, ''])
    for (const { delivery, token, accessToken, sid } of others) {
      expectRefused(await refresh(t, delivery, token))
      expect((await bearer(t, accessToken)).statusCode).toBe(401)
      expect(await eventsOf(t, sid)).toEqual(['session.ended session_ended_by_user'])
    }
    granted(await refresh(t, 'body', own.token))
    granted(await refresh(t, 'body', bystander.token))
  })

  test('DELETE /sessions?including_current=true ends the current one, too', async () => {
    const { own, others, bystander } = await three()
    expect((await bearer(t, own.accessToken, '/sessions?including_current=true', 'DELETE')).statusCode).toBe(204)
    for (const { delivery, token, accessToken } of [own, ...others]) {
      expectRefused(await refresh(t, delivery, token))
      expect((await bearer(t, accessToken)).statusCode).toBe(401)
    }
    granted(await refresh(t, 'body', bystander.token))
  })

  test.each(['?including_current=yes', '?including_current=', '?including_current=1', '?all=true'])(
    'DELETE /sessions%s is 400 and ends nothing',
    async (query) => {
      const { own, others } = await three()
      expect((await bearer(t, own.accessToken, `/sessions${query}`, 'DELETE')).statusCode).toBe(400)
      for (const { sid } of [own, ...others]) expect(await isLive(t, sid)).toBe(true)
    },
  )
})

describe('SESSIONS_PER_USER', () => {
  test('one sign-in more ends the session that was used longest ago', async () => {
    await using app = await startApp({ SESSIONS_PER_USER: '3' })
    const forward = stopClock(app)
    const [user, someone] = [await register(app), await register(app)]
    const bystander = await signIn(app, someone)
    const sessions = []
    for (let i = 0; i < 3; i++) {
      forward(1)
      sessions.push(await signIn(app, user, i === 1 ? 'cookie' : 'body'))
    }
    const [first, second, third] = sessions
    if (!first || !second || !third) throw new Error('three were started')
    forward(1)
    granted(await refresh(app, 'body', first.token))
    forward(1)
    const fourth = await signIn(app, user)
    expect(await family(app, second.sid)).toMatchObject({ end_cause: 'too_many_sessions' })
    expect(await eventsOf(app, second.sid)).toEqual(['session.ended too_many_sessions'])
    expectRefused(await refresh(app, 'cookie', second.token))
    for (const { sid } of [first, third, fourth, bystander]) expect(await isLive(app, sid)).toBe(true)
  })

  test('never ends the session that is being started, though others are used while its password is checked', async () => {
    await using app = await startApp({ SESSIONS_PER_USER: '1' })
    const forward = stopClock(app)
    const user = await register(app)
    const first = await signIn(app, user)
    const { verify } = app.deps.hasher
    vi.spyOn(app.deps.hasher, 'verify').mockImplementationOnce(async (...args) => {
      forward(1)
      granted(await refresh(app, 'body', first.token))
      return await verify(...args)
    })
    const second = await signIn(app, user)
    vi.restoreAllMocks()
    expect(await isLive(app, second.sid)).toBe(true)
    expect(await isLive(app, first.sid)).toBe(false)
    granted(await refresh(app, 'body', second.token))
  })

  test('holds against sign-ins at the same time', async () => {
    await using app = await startApp({ SESSIONS_PER_USER: '2' })
    const user = await register(app)
    // All have had their password checked before the first is written down.
    let [checked, open] = [0, Promise.withResolvers<void>()]
    const { verify } = app.deps.hasher
    vi.spyOn(app.deps.hasher, 'verify').mockImplementation(async (...args) => {
      const matches = await verify(...args)
      if (++checked % 4 === 0) open.resolve()
      await open.promise
      return matches
    })
    for (let round = 0; round < 4; round++) {
      open = Promise.withResolvers<void>()
      await atOnce(4, () => signIn(app, user))
    }
    const live = await app.db.selectFrom('families').select('id').where('ended_at', 'is', null).execute()
    expect(live).toHaveLength(2)
  })
})
