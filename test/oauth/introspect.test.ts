import { createLocalJWKSet, jwtVerify } from 'jose'
import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { setClientEnabled } from '../../src/clients/change.ts'
import { rotateKeys } from '../../src/keys/operator.ts'
import { disableClient } from '../../src/oauth/disable-client.ts'
import { endEverybody } from '../../src/sessions/end.ts'
import { mintFirst } from '../../src/tokens/refresh.ts'
import { holdTable } from '../sessions/holds.ts'
import {
  bearer,
  granted,
  logout,
  refresh,
  register,
  signIn,
  signingKey,
  startApp,
  stopClock,
} from '../sessions/support.ts'
import { createTestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { addPublicClient, addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { claimsOf, headerOf, type Json, signJwt } from '../support/jwt.ts'
import { byOperator } from '../support/operation.ts'
import { basic, introspect, tokenFor } from './authentication.ts'
import { form } from './support.ts'

const t = forFile(await startApp({ AUDIENCE: 'orders,billing', SCOPES: 'orders.read' }))
const travel = stopClock(t)
const user = await register(t)
const orders = await addServiceClient(t, { audiences: ['orders'] })
const SIGNED = 'application/token-introspection+jwt'

const ask = async (token: string, { by = orders, on = t, hint = '' } = {}): Promise<Json> => {
  const answer = await introspect(on, by, { token, token_type_hint: hint })
  expect(answer.statusCode).toBe(200)
  return answer.json()
}

test('of a live token a service is told all its claims', async () => {
  const { accessToken } = await signIn(t, user)
  const answer = await introspect(t, orders, { token: accessToken })
  expect([answer.statusCode, answer.json()]).toEqual([
    200,
    { ...claimsOf(accessToken), active: true, token_type: 'Bearer' },
  ])
  expect(answer.headers).toMatchObject({
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
  })
  for (const claim of ['iss', 'sub', 'aud', 'client_id', 'scope', 'exp', 'iat', 'jti', 'sid'])
    expect(answer.json()).toHaveProperty(claim)
})

test('a token is for the services that its audience names, by what they are registered for or by their id', async () => {
  const billing = await addServiceClient(t, { audiences: ['billing'] })
  const either = await addServiceClient(t)
  const { accessToken } = await signIn(t, user, 'body', { audience: ['orders', 'billing'] })
  for (const by of [orders, billing, either]) expect(await ask(accessToken, { by })).toMatchObject({ active: true })
  const { accessToken: narrow } = await signIn(t, user, 'body', { audience: 'billing' })
  for (const by of [billing, either]) expect(await ask(narrow, { by })).toMatchObject({ active: true })

  const app = await addPublicClient(t, { type: 'native', audiences: [orders.clientId] })
  const { accessToken: named } = await signIn(t, user, 'body', { client_id: app.clientId })
  expect(await ask(named)).toMatchObject({ active: true, aud: orders.clientId })
  expect(await ask(named, { by: billing })).toEqual({ active: false })
})

test('a token of a client of which the replica that is asked has not heard yet is as good as any', async () => {
  await using replica = await createTestApp({ join: t })
  await replica.clients.stop()
  const { clientId } = await addPublicClient(t, { type: 'native' })
  const { accessToken } = await signIn(t, user, 'body', { client_id: clientId })
  expect(await ask(accessToken, { on: replica })).toMatchObject({ active: true })
})

test('of the token of a service too, until the service is disabled', async () => {
  const caller = await addServiceClient(t, { audiences: ['orders', 'billing'], scopes: ['orders.read'] })
  const { access_token: token } = (await tokenFor(t, caller)).json<{ access_token: string }>()
  expect(await ask(token)).toEqual({ ...claimsOf(token), active: true, token_type: 'Bearer' })
  expect(claimsOf(token)).toMatchObject({ sub: caller.clientId, client_id: caller.clientId, scope: 'orders.read' })
  const { access_token: other } = (await tokenFor(t, caller, { audience: 'billing' })).json<{ access_token: string }>()
  expect(await ask(other)).toEqual({ active: false })
  await disableClient(t.deps, byOperator(t.deps), { id: caller.clientId, type: 'service' })
  expect(await ask(token)).toEqual({ active: false })

  // What was revoked stays revoked.
  await setClientEnabled(t.deps, byOperator(t.deps), { id: caller.clientId, enabled: true })
  expect(await ask(token)).toEqual({ active: false })
  travel(1)
  const { access_token: anew } = (await tokenFor(t, caller)).json<{ access_token: string }>()
  expect(await ask(anew)).toMatchObject({ active: true })
})

test('whoever ends everybody’s sessions ends the tokens of services with them', async () => {
  await using other = await startApp({ AUDIENCE: 'orders' })
  const by = await addServiceClient(other)
  const { access_token: token } = (await tokenFor(other, by)).json<{ access_token: string }>()
  expect(await ask(token, { by, on: other })).toMatchObject({ active: true })
  await endEverybody(other.deps, byOperator(other.deps), { cause: 'operator' })
  expect(await ask(token, { by, on: other })).toEqual({ active: false })
})

test('a logout shows at the next question, and so does whatever else ends a session', async () => {
  const { token, accessToken } = await signIn(t, user)
  const during = atOnce(20, () => ask(accessToken))
  await logout(t, 'body', token)
  expect(await ask(accessToken)).toEqual({ active: false })
  await during
  await using replica = await startReplica()
  const second = await signIn(t, user)
  expect(await ask(second.accessToken, { on: replica })).toMatchObject({ active: true })
  await logout(t, 'body', second.token)
  expect(await ask(second.accessToken, { on: replica })).toEqual({ active: false })
})

async function startReplica() {
  const replica = await createTestApp({ join: t })
  replica.deps.clock = t.deps.clock
  return replica
}

/** What a token may be that is not active, for services that differ in nothing from one that is told of it. */
const DEAD: Record<string, () => string | Promise<string>> = {
  'of an ended session': async () => {
    const { token, accessToken } = await signIn(t, user)
    await logout(t, 'body', token)
    return accessToken
  },
  'of a session that has gone unused': async () => {
    const { accessToken, sid } = await signIn(t, user)
    await t.db.updateTable('families').set({ idle_seconds: 1 }).where('id', '=', sid).execute()
    travel(2)
    return accessToken
  },
  expired: async () => {
    const { accessToken } = await signIn(t, user)
    travel(600)
    return accessToken
  },
  'of a disabled user': async () => {
    const other = await register(t)
    const { accessToken } = await signIn(t, other)
    await t.db.updateTable('users').set({ disabled_at: t.deps.clock() }).where('id', '=', other.id).execute()
    return accessToken
  },
  'of a deleted user': async () => {
    const other = await register(t)
    const { accessToken } = await signIn(t, other)
    await t.db.deleteFrom('users').where('id', '=', other.id).execute()
    return accessToken
  },
  'of a disabled client': async () => {
    const { clientId } = await addPublicClient(t, { type: 'native' })
    const { accessToken } = await signIn(t, user, 'body', { client_id: clientId })
    // As somebody does who knows the table and not the command, which would have ended its sessions.
    await t.db.updateTable('clients').set({ disabled_at: t.deps.clock() }).where('id', '=', clientId).execute()
    await t.clients.reload()
    return accessToken
  },
  'for another audience': async () => (await signIn(t, user, 'body', { audience: 'billing' })).accessToken,
  'of another session’s user': () => resigned({ sub: 'somebody' }),
  'of another client': () => resigned({ client_id: 'web' }),
  'of a client that there is not': () => resigned({ client_id: 'cl_AAAAAAAAAAAAAAAAAAAAAA' }),
  'of a session that there is not': () => resigned({ sid: crypto.randomUUID() }),
  'of another issuer': () => resigned({ iss: 'https://elsewhere.example' }),
  'with a key in its header': () => resigned({}, { jwk: { kty: 'RSA' } }),
  'a refresh token': async () => (await signIn(t, user)).token,
  'a refresh token of nobody': () => mintFirst(t.deps.serverKeys).token,
  'a security event': () => resigned({}, { typ: 'secevent+jwt' }),
  'a list of revocations': () => resigned({}, { typ: 'revocations+jwt' }),
  'an answer to a question': () => resigned({}, { typ: 'token-introspection+jwt' }),
  'a JWT of no type': () => resigned({}, { typ: 'JWT' }),
  'with a broken signature': async () => (await signIn(t, user)).accessToken.slice(0, -4),
  'without a signature': async () => `${(await signIn(t, user)).accessToken.split('.').slice(0, 2).join('.')}.`,
  'as long as a form may have': () => 'x'.repeat(8192),
  'three long parts': () => `${'a'.repeat(2700)}.${'b'.repeat(2700)}.${'c'.repeat(2700)}`,
  garbage: () => '\u0001 ? ü',
}

/** A live token of ours, signed by our key, but for what is changed. */
async function resigned(claims: Json, header: Json = {}): Promise<string> {
  const { accessToken } = await signIn(t, user)
  const { privateKey } = await signingKey(t)
  return signJwt(privateKey, { ...headerOf(accessToken), ...header }, { ...claimsOf(accessToken), ...claims })
}

describe('is inactive, and not a word is said of why: a token', () => {
  test.each(Object.entries(DEAD))('%s', async (_what, make) => {
    const token = await make()
    const seen = []
    for (const [hint, dead] of [
      ['', token],
      ['access_token', token],
      ['refresh_token', token],
      ['', 'nothing'],
    ] as const) {
      const { statusCode, body, headers } = await introspect(t, orders, { token: dead, token_type_hint: hint })
      const { 'x-request-id': _id, date: _date, ...rest } = headers
      seen.push({ statusCode, body, rest })
    }
    expect(seen[0]).toMatchObject({ statusCode: 200, body: '{"active":false}' })
    expect(new Set(seen.map((each) => JSON.stringify(each))).size).toBe(1)
  })

  test('resigned with nothing changed is active: the changes are what matters', async () => {
    expect(await ask(await resigned({}))).toMatchObject({ active: true })
  })

  test('that was signed by a withdrawn key', async () => {
    await using other = await startApp({ AUDIENCE: 'orders' })
    const by = await addServiceClient(other)
    const { accessToken } = await signIn(other, await register(other))
    expect(await ask(accessToken, { by, on: other })).toMatchObject({ active: true })
    await rotateKeys(other.deps, byOperator(other.deps), { compromised: true })
    await other.keys.reload()
    expect(await ask(accessToken, { by, on: other })).toEqual({ active: false })
  })
})

test('a hint that is wrong changes nothing', async () => {
  const { accessToken } = await signIn(t, user)
  for (const hint of ['access_token', 'refresh_token', 'pat'])
    expect(await ask(accessToken, { hint })).toMatchObject({ active: true })
})

describe('a signed answer', async () => {
  const signed = async (token: string, accept = SIGNED) => introspect(t, orders, { token }, { accept })
  const keys = createLocalJWKSet((await t.inject({ url: '/.well-known/jwks.json' })).json())

  test('is a JWT for the service that asks, which holds what it would be told in JSON', async () => {
    const { accessToken } = await signIn(t, user)
    const answer = await signed(accessToken)
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, SIGNED])
    const { payload, protectedHeader } = await jwtVerify(answer.body, keys, { currentDate: t.deps.clock() })
    expect(protectedHeader).toMatchObject({ alg: 'RS256', typ: 'token-introspection+jwt' })
    expect(payload).toEqual({
      iss: t.config.ISSUER,
      aud: orders.clientId,
      iat: t.deps.clock().getTime() / 1000,
      token_introspection: await ask(accessToken),
    })
    const dead = claimsOf((await signed('nothing')).body)
    expect(dead.token_introspection).toEqual({ active: false })
  })

  test('is no access token, here or at our own endpoints', async () => {
    const { accessToken } = await signIn(t, user)
    const { body } = await signed(accessToken)
    expect((await bearer(t, body)).statusCode).toBe(401)
    expect(await ask(body)).toEqual({ active: false })
  })

  test.each([
    [SIGNED, true],
    ['Application/Token-Introspection+JWT', true],
    [`${SIGNED};q=0.5, */*;q=0.1`, true],
    [`application/json;q=0.9, ${SIGNED}`, true],
    [`application/json, ${SIGNED};q=0.5`, false],
    [`${SIGNED};q=0`, false],
    [`${SIGNED};q=x`, false],
    ['*/*', false],
    ['application/*', false],
    ['application/json', false],
    ['', false],
  ])('is asked for by Accept: %s (%s)', async (accept, isSigned) => {
    const { headers } = await signed('nothing', accept)
    expect(headers['content-type']).toBe(isSigned ? SIGNED : 'application/json; charset=utf-8')
  })
})

describe('a gateway that reads no bodies', () => {
  const inHeaders = (token: string, response = 'headers') => introspect(t, orders, { token, response })

  test('is told of a live token in headers', async () => {
    const { accessToken } = await signIn(t, user, 'body', { scope: 'account orders.read' })
    const { statusCode, headers, json } = await inHeaders(accessToken)
    expect([statusCode, json()]).toEqual([200, { ...claimsOf(accessToken), active: true, token_type: 'Bearer' }])
    expect(headers).toMatchObject({
      'claviger-subject': user.id,
      'claviger-client-id': 'native',
      'claviger-scope': 'account orders.read',
    })
    expect((await introspect(t, orders, { token: accessToken })).headers).not.toHaveProperty('claviger-subject')
  })

  test('gets 403 for any other, which is not the 401 of its own credentials', async () => {
    const ended = await signIn(t, user)
    await logout(t, 'body', ended.token)
    const { accessToken: other } = await signIn(t, user, 'body', { audience: 'billing' })
    for (const token of [ended.accessToken, other, ended.token, 'nothing']) {
      const { statusCode, headers, json } = await inHeaders(token)
      expect([statusCode, json()]).toEqual([403, { active: false }])
      expect(Object.keys(headers).filter((name) => /^claviger-|^www-/.test(name))).toEqual([])
    }
  })

  test('is not misunderstood', async () => {
    const { accessToken } = await signIn(t, user)
    expect((await inHeaders(accessToken, 'header')).statusCode).toBe(400)
  })
})

describe('who is no service is told nothing', () => {
  test.each<[string, () => Record<string, string>, () => Record<string, string>]>([
    ['nobody', () => ({}), () => ({})],
    ['a wrong secret', () => ({ authorization: basic(orders.clientId, 'wrong') }), () => ({})],
    ['a client of people', () => ({}), () => ({ client_id: 'native' })],
    ['a bearer token in place of a client', () => ({ authorization: 'Bearer x' }), () => ({})],
  ])('%s', async (_who, headers, fields) => {
    const { accessToken } = await signIn(t, user)
    for (const token of [accessToken, 'nothing']) {
      const answer = await form(t, '/oauth/introspect', { token, ...fields() }, headers())
      expect([answer.statusCode, answer.json().error]).toEqual([401, 'invalid_client'])
      expect(answer.headers['www-authenticate']).toBe(`Basic realm="${t.config.ISSUER}"`)
    }
  })

  test('a request that logs would keep, or two readers could read differently', async () => {
    const { accessToken: token } = await signIn(t, user)
    const authorization = basic(orders.clientId, orders.secret)
    const type = 'application/x-www-form-urlencoded'
    const send = (url: string, payload: string, of = type) =>
      t.inject({ method: 'POST', url, headers: { 'content-type': of, authorization }, payload })
    for (const [status, answer] of [
      [405, await t.inject({ method: 'GET', url: '/oauth/introspect', headers: { authorization } })],
      [400, await t.inject({ method: 'GET', url: `/oauth/introspect?token=${token}`, headers: { authorization } })],
      [400, await send(`/oauth/introspect?token=${token}`, '')],
      [400, await send('/oauth/introspect', '')],
      [400, await send('/oauth/introspect', `token=${token}&token=${token}`)],
      [415, await send('/oauth/introspect', JSON.stringify({ token }), 'application/json')],
      [413, await send('/oauth/introspect', `token=${'x'.repeat(17_000)}`)],
    ] as const) {
      expect([answer.statusCode, answer.json().error]).toEqual([status, 'invalid_request'])
    }
  })

  test('a page of ours may not read the answer', async () => {
    const answer = await introspect(t, orders, { token: 'nothing' }, { origin: new URL(t.config.ISSUER).origin })
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin')
  })
})

test.each(['clients', 'users'] as const)(
  'however many ask at a time, four of them wait for %s, and people find connections',
  async (table) => {
    const { token, accessToken } = await signIn(t, user)
    // Not the statement that reads now and then whether clients have changed.
    const theirs = { clients: '%client_secrets%', users: '%families%' }[table]
    const waiting = async () => {
      const { rows } = await sql<{ count: number }>`
        SELECT count(*)::int FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE ${theirs}`.execute(t.db)
      return rows[0]?.count
    }
    const held = await holdTable(t.db, table)
    const answers = Array.from({ length: 100 }, () => ask(accessToken))
    await expect.poll(waiting).toBe(4)
    if (table === 'clients') {
      expect((await bearer(t, accessToken)).statusCode).toBe(200)
      granted(await refresh(t, 'body', token))
    }
    await held.release()
    for (const each of await Promise.all(answers)) expect(each).toMatchObject({ active: true })
  },
)
