import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { mintFirst } from '../../src/tokens/refresh.ts'
import { createTestApp, refreshTokenOf } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { forFile } from '../support/for-file.ts'
import { holdRow } from './holds.ts'
import {
  bearer,
  COOKIE,
  eventsOf,
  expectRefused,
  family,
  granted,
  isLive,
  logout,
  ownOrigin,
  post,
  refresh,
  register,
  signIn,
  startApp,
  stopClock,
  trail,
} from './support.ts'

const t = forFile(await startApp())
const user = await register(t)
const travel = stopClock(t)
const origin = ownOrigin(t)

describe.each(['body', 'cookie'] as const)('logout with the token in the %s', (via) => {
  test('ends the family for the token, its predecessor within the grace and its unused successor', async () => {
    const { token, accessToken, sid } = await signIn(t, user, via)
    const second = granted(await refresh(t, via, token))
    const third = granted(await refresh(t, via, second))
    // The client never heard of the third, and signs out with the second.
    expect((await logout(t, via, second)).statusCode).toBe(204)
    for (const each of [token, second, third]) expectRefused(await refresh(t, via, each))
    expectRefused(await refresh(t, via, second, { key: 'attempt-1' }))
    expect((await bearer(t, accessToken)).statusCode).toBe(401)
    expect(await family(t, sid)).toMatchObject({ end_cause: 'logout', ended_at: t.deps.clock() })
  })

  test('leaves one audit event, and that what comes afterwards is no reuse', async () => {
    const { token, sid } = await signIn(t, user, via)
    const second = granted(await refresh(t, via, token))
    const answer = await logout(t, via, second)
    for (const each of [token, second]) expectRefused(await refresh(t, via, each))
    await logout(t, via, second)
    const [ended, ...rest] = await trail(t, sid)
    expect(rest).toEqual([])
    expect(ended).toMatchObject({
      type: 'session.ended',
      reason: 'logout',
      actor: `user:${user.id}`,
      user_id: user.id,
      request_id: answer.headers['x-request-id'],
    })
  })

  test('works with any generation, however old', async () => {
    const { token, sid } = await signIn(t, user, via)
    let current = token
    for (let i = 0; i < 4; i++) current = granted(await refresh(t, via, current))
    travel(3600)
    expect((await logout(t, via, token)).statusCode).toBe(204)
    expectRefused(await refresh(t, via, current))
    expect(await eventsOf(t, sid)).toEqual(['session.ended logout'])
  })

  test('needs no access token, not even a valid one', async () => {
    const { token, accessToken, sid } = await signIn(t, user, via)
    travel(7200)
    expect((await bearer(t, accessToken)).statusCode).toBe(401)
    const headers = { authorization: `Bearer ${accessToken}` }
    const sent =
      via === 'body' ? { body: { refresh_token: token }, headers } : { cookie: token, headers: { ...headers, origin } }
    expect((await post(t, '/logout', sent)).statusCode).toBe(204)
    expect(await isLive(t, sid)).toBe(false)
  })

  test('ends no other session of the user', async () => {
    const [one, other] = [await signIn(t, user, via), await signIn(t, user, via)]
    await logout(t, via, one.token)
    granted(await refresh(t, via, other.token))
  })

  test('with a token in the wrong place ends nothing and is audited', async () => {
    const { token, sid } = await signIn(t, user, via)
    expect((await logout(t, via === 'body' ? 'cookie' : 'body', token)).statusCode).toBe(204)
    expect(await eventsOf(t, sid)).toEqual(['refresh.refused wrong_delivery'])
    granted(await refresh(t, via, token))
  })

  test('racing refreshes never leaves a live family', async () => {
    await using replica = await createTestApp({ join: t })
    replica.deps.clock = t.deps.clock
    for (let round = 0; round < 40; round++) {
      const { token, sid } = await signIn(t, user, via)
      // One client that goes on from its successor, or two tabs with the same token.
      const chained = async () => {
        const answer = await refresh(t, via, token)
        return answer.statusCode === 200 ? await refresh(replica, via, refreshTokenOf(answer)) : answer
      }
      const calls = round % 2 === 0 ? [chained] : [() => refresh(t, via, token), () => refresh(replica, via, token)]
      // In turn the logout is sent before, between and after them, at the same and at the other replica.
      calls.splice(Math.floor(round / 2) % 3, 0, () => logout(round % 3 === 0 ? replica : t, via, token))
      const answers = await Promise.all(calls.map((call) => call()))
      const statuses = answers.map((answer) => answer.statusCode)
      expect(statuses.filter((status) => status === 204)).toHaveLength(1)
      expect(statuses.every((status) => status === 204 || status === 200 || status === 401)).toBe(true)
      const handedOut = answers.filter((answer) => answer.statusCode === 200).map(refreshTokenOf)
      for (const each of [token, ...handedOut]) expectRefused(await refresh(t, via, each))
      // The logout ended it, not a retry that was taken for theft.
      expect(await family(t, sid)).toMatchObject({ end_cause: 'logout' })
    }
  })
})

describe('logout with nothing to end', () => {
  test.each<[string, () => string | Promise<string>]>([
    ['an unknown token', () => mintFirst(t.deps.serverKeys).token],
    ['a malformed token', () => 'rt1_x'],
    ['an empty token', () => ''],
    ['a forged token', () => `rt1_${randomBytes(69).toString('base64url')}`],
    [
      'an expired token',
      async () => {
        const { token, sid } = await signIn(t, user)
        await t.db.updateTable('families').set({ expires_at: t.deps.clock() }).where('id', '=', sid).execute()
        return token
      },
    ],
    [
      'a token of an ended session',
      async () => {
        const { token } = await signIn(t, user)
        await logout(t, 'body', token)
        return token
      },
    ],
    ['an access token', async () => (await signIn(t, user)).accessToken],
  ])('%s gets the same 204', async (_name, make) => {
    const token = await make()
    const answer = await logout(t, 'body', token)
    expect([answer.statusCode, answer.body, answer.headers['set-cookie']]).toEqual([204, '', undefined])
    const cookie = await logout(t, 'cookie', token)
    expect([cookie.statusCode, cookie.body]).toEqual([204, ''])
    expect(cookie.headers['set-cookie']).toContain(`${COOKIE}=; Max-Age=0`)
  })

  test('no token at all gets the same 204, and the cookie is deleted all the same', async () => {
    for (const sent of [{}, { headers: { origin } }, { body: {} }]) {
      const answer = await post(t, '/logout', sent)
      expect([answer.statusCode, answer.body]).toEqual([204, ''])
      expect(answer.headers['set-cookie']).toContain(`${COOKIE}=; Max-Age=0`)
    }
  })

  test('the replies differ in nothing but the request id', async () => {
    const live = await signIn(t, user)
    const headers = async (token: string) => {
      const { 'x-request-id': _id, date: _date, ...rest } = (await logout(t, 'body', token)).headers
      return rest
    }
    const ended = await headers(live.token)
    for (const token of [live.token, 'rt1_x', mintFirst(t.deps.serverKeys).token]) {
      expect(await headers(token)).toEqual(ended)
    }
  })

  test('a body of the wrong shape is 400', async () => {
    for (const body of [{ refresh_token: 1 }, { token: 'x' }, { refresh_token: 'x', client_id: 1 }, []]) {
      expect((await post(t, '/logout', { body })).statusCode).toBe(400)
    }
  })
})

test('a logout that arrives twice at the same time is one end', async () => {
  const { token, sid } = await signIn(t, user)
  const answers = await atOnce(10, () => logout(t, 'body', token))
  expect(answers.every((answer) => answer.statusCode === 204)).toBe(true)
  expect(await eventsOf(t, sid)).toEqual(['session.ended logout'])
})

test('hundreds of logouts of one family take one connection between them, also while somebody holds its row', async () => {
  const { token, sid } = await signIn(t, user)
  const held = await holdRow(t.db, sid)
  const logouts = Array.from({ length: 300 }, () => logout(t, 'body', token))
  await sleep(150)
  // Others find connections meanwhile.
  const other = await signIn(t, user)
  expect((await bearer(t, other.accessToken)).statusCode).toBe(200)
  expect((await logout(t, 'body', other.token)).statusCode).toBe(204)
  await held.release()
  expect(new Set((await Promise.all(logouts)).map(({ statusCode }) => statusCode))).toEqual(new Set([204]))
  expect(await eventsOf(t, sid)).toEqual(['session.ended logout'])
})

test('what has ended is not waited for', async () => {
  const { token, sid } = await signIn(t, user)
  await logout(t, 'body', token)
  const held = await holdRow(t.db, sid)
  expect((await logout(t, 'body', token)).statusCode).toBe(204)
  await held.release()
})
