import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { mintFirst } from '../../src/tokens/refresh.ts'
import { holdRow } from '../sessions/holds.ts'
import {
  bearer,
  eventsOf,
  expectRefused,
  family,
  granted,
  isLive,
  PAGE,
  refresh,
  register,
  signIn,
  startApp,
  stopClock,
  trail,
} from '../sessions/support.ts'
import { addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { basic } from './authentication.ts'
import { form, revoke } from './support.ts'

const t = forFile(await startApp())
const user = await register(t)
const travel = stopClock(t)

/** As the client of `signIn` sends it. */
const revoked = (token: string, fields = {}) => revoke(t, { token, client_id: 'native', ...fields })

describe('a client revokes', () => {
  test('a refresh token, and the family ends with all its tokens', async () => {
    const { token, accessToken, sid } = await signIn(t, user)
    const second = granted(await refresh(t, 'body', token))
    const third = granted(await refresh(t, 'body', second))
    const answer = await revoked(second)
    expect([answer.statusCode, answer.body, answer.headers['cache-control']]).toEqual([200, '', 'no-store'])
    for (const each of [token, second, third]) expectRefused(await refresh(t, 'body', each))
    expect((await bearer(t, accessToken)).statusCode).toBe(401)
    expect(await family(t, sid)).toMatchObject({ end_cause: 'revoked_by_client', ended_at: t.deps.clock() })
    expect(await trail(t, sid)).toEqual([
      expect.objectContaining({
        type: 'session.ended',
        reason: 'revoked_by_client',
        actor: `user:${user.id}`,
        request_id: answer.headers['x-request-id'],
      }),
    ])
  })

  test('an access token, and its session ends', async () => {
    const { token, accessToken, sid } = await signIn(t, user)
    expect((await revoked(accessToken)).statusCode).toBe(200)
    expect(await family(t, sid)).toMatchObject({ end_cause: 'revoked_by_client' })
    expectRefused(await refresh(t, 'body', token))
    const page = await signIn(t, user, 'cookie')
    const answer = await revoke(t, { token: page.accessToken, client_id: 'web' }, { origin: PAGE })
    expect(answer.statusCode).toBe(200)
    expect(await isLive(t, page.sid)).toBe(false)
  })

  test('whatever the hint says', async () => {
    for (const token_type_hint of ['access_token', 'refresh_token', 'password', 'x'.repeat(5000)]) {
      const one = await signIn(t, user)
      expect((await revoked(one.token, { token_type_hint })).statusCode).toBe(200)
      const other = await signIn(t, user)
      expect((await revoked(other.accessToken, { token_type_hint })).statusCode).toBe(200)
      expect([await isLive(t, one.sid), await isLive(t, other.sid)]).toEqual([false, false])
    }
  })

  test('no other session of the user', async () => {
    const [one, other] = [await signIn(t, user), await signIn(t, user)]
    await revoked(one.token)
    granted(await refresh(t, 'body', other.token))
  })
})

test('what there is nothing to revoke of is answered as what was revoked', async () => {
  const ended = await signIn(t, user)
  const reply = async (token: string) => {
    const { statusCode, body, headers } = await revoked(token)
    const { 'x-request-id': _id, date: _date, ...rest } = headers
    return { statusCode, body, rest }
  }
  const expected = await reply(ended.token)
  const old = await signIn(t, user)
  await t.db.updateTable('families').set({ expires_at: t.deps.clock() }).where('id', '=', old.sid).execute()
  const late = await signIn(t, user)
  travel(3600)
  const [header = '', , signature = ''] = late.accessToken.split('.')
  const claims = Buffer.from(JSON.stringify({ sid: late.sid, client_id: 'native', scope: 'account' }))
  for (const token of [
    ended.token,
    ended.accessToken,
    old.token,
    late.accessToken,
    mintFirst(t.deps.serverKeys).token,
    [header, claims.toString('base64url'), signature].join('.'),
    `rt1_${'A'.repeat(92)}`,
    'x'.repeat(8192),
    '%00�',
  ]) {
    expect(await reply(token)).toEqual(expected)
  }
  expect(await isLive(t, late.sid)).toBe(true)
})

describe('is refused, and the session goes on', () => {
  test('a token of another client', async () => {
    const { token, accessToken, sid } = await signIn(t, user)
    for (const each of [token, accessToken]) {
      const answer = await revoke(t, { token: each, client_id: 'web' })
      expect([answer.statusCode, answer.json().error]).toEqual([400, 'invalid_grant'])
    }
    expect(await eventsOf(t, sid)).toEqual(['refresh.refused wrong_client'])
    granted(await refresh(t, 'body', token))
  })

  test('the token of a cookie in a form, though its client is named', async () => {
    const { token, sid } = await signIn(t, user, 'cookie')
    const answer = await revoke(t, { token, client_id: 'web' }, { origin: PAGE })
    expect([answer.statusCode, answer.json().error]).toEqual([400, 'invalid_grant'])
    expect(await eventsOf(t, sid)).toEqual(['refresh.refused wrong_delivery'])
    granted(await refresh(t, 'cookie', token))
  })

  test('an access token that was narrowed for another service', async () => {
    await using scoped = await startApp({ SCOPES: 'orders' })
    const { accessToken, token } = await signIn(scoped, await register(scoped), 'body', { scope: 'orders' })
    const answer = await revoke(scoped, { token: accessToken, client_id: 'native' })
    expect([answer.statusCode, answer.json().error]).toEqual([400, 'unsupported_token_type'])
    granted(await refresh(scoped, 'body', token))
  })

  test('who names no client, or none that there is', async () => {
    const { token, sid } = await signIn(t, user)
    const answers = [
      await revoke(t, { token }),
      await revoke(t, { token, client_id: '' }),
      await revoke(t, { token, client_id: 'nobody' }),
      await revoke(t, { token, client_id: '__proto__' }),
      // A public client has no secret: one that is sent proves nothing, and must not be taken for no proof.
      await revoke(t, { token, client_id: 'native', client_secret: 'x' }),
      await revoke(t, { token }, { authorization: basic('native', 'x') }),
      // What the token is must not show to somebody who is nobody.
      await revoke(t, { token: 'garbage', client_id: 'nobody' }),
    ]
    for (const answer of answers) {
      expect([answer.statusCode, answer.json()]).toEqual([401, answers[0]?.json()])
      expect(answer.json().error).toBe('invalid_client')
      expect(answer.headers['www-authenticate']).toBe(`Basic realm="${t.config.ISSUER}"`)
    }
    expect(await isLive(t, sid)).toBe(true)
  })

  test('a service, which has no session to end', async () => {
    const { clientId, secret } = await addServiceClient(t)
    const { token, accessToken, sid } = await signIn(t, user)
    const authorization = basic(clientId, secret)
    for (const each of [token, accessToken]) {
      const answer = await revoke(t, { token: each }, { authorization })
      expect([answer.statusCode, answer.json().error]).toEqual([400, 'invalid_grant'])
    }
    expect((await revoke(t, { token: 'garbage' }, { authorization })).statusCode).toBe(200)
    expect(await isLive(t, sid)).toBe(true)
  })

  test('a page that may not act for the client', async () => {
    const { token, sid } = await signIn(t, user)
    for (const origin of [PAGE, new URL(t.config.ISSUER).origin, 'https://evil.example', 'null']) {
      const answer = await revoke(t, { token, client_id: 'native' }, { origin })
      expect([answer.statusCode, answer.json().error]).toEqual([403, 'invalid_request'])
    }
    expect(await isLive(t, sid)).toBe(true)
  })

  test('a request that two readers could read differently', async () => {
    const { token, sid } = await signIn(t, user)
    const fields = `client_id=native&token=${token}`
    const type = 'application/x-www-form-urlencoded'
    const send = (payload: string, { url = '/oauth/revoke', of = type } = {}) =>
      t.inject({ method: 'POST', url, headers: { 'content-type': of }, payload })
    for (const [status, answer] of [
      [400, await send(`${fields}&token=${token}`)],
      [400, await send(`${fields}&client_id=native`)],
      [400, await send(`${fields}&x=1&x=2`)],
      [400, await send('client_id=native')],
      [400, await send('client_id=native', { url: `/oauth/revoke?token=${token}` })],
      [405, await t.inject({ method: 'GET', url: '/oauth/revoke' })],
      [415, await send(JSON.stringify({ token, client_id: 'native' }), { of: 'application/json' })],
    ] as const) {
      expect([answer.statusCode, answer.json().error]).toEqual([status, 'invalid_request'])
    }
    expect(await isLive(t, sid)).toBe(true)
  })
})

test('hundreds that revoke one session take one connection between them, also while somebody holds its row', async () => {
  const { token, accessToken, sid } = await signIn(t, user)
  const held = await holdRow(t.db, sid)
  const all = Array.from({ length: 300 }, (_, index) => revoked(index % 2 === 0 ? token : accessToken))
  await sleep(150)
  const other = await signIn(t, user)
  expect((await revoked(other.token)).statusCode).toBe(200)
  await held.release()
  expect(new Set((await Promise.all(all)).map(({ statusCode }) => statusCode))).toEqual(new Set([200]))
  expect(await eventsOf(t, sid)).toEqual(['session.ended revoked_by_client'])
})

test('racing refreshes never leaves a live family', async () => {
  for (let round = 0; round < 10; round++) {
    const { token, sid } = await signIn(t, user)
    const [answer] = await Promise.all([refresh(t, 'body', token), revoked(token)])
    const handedOut = answer.statusCode === 200 ? [granted(answer)] : []
    for (const each of [token, ...handedOut]) expectRefused(await refresh(t, 'body', each))
    expect(await family(t, sid)).toMatchObject({ end_cause: 'revoked_by_client' })
  }
})

test('the endpoint is a form of its own: parameters that are not known are ignored', async () => {
  const { token, sid } = await signIn(t, user)
  const answer = await form(t, '/oauth/revoke', { token, client_id: 'native', realm: 'x', token_type_hint: '' })
  expect(answer.statusCode).toBe(200)
  expect(await isLive(t, sid)).toBe(false)
})
