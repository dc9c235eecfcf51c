import { describe, expect, test } from 'vitest'
import { disableUser } from '../../src/users/accounts.ts'
import { setRoles } from '../../src/users/rights.ts'
import {
  bearer,
  eventsOf,
  expectRefused,
  family,
  granted,
  refresh,
  register,
  signIn,
  signingKey,
  startApp,
  stopClock,
} from '../sessions/support.ts'
import { atOnce } from '../support/at-once.ts'
import { forFile } from '../support/for-file.ts'
import { claimsOf, headerOf } from '../support/jwt.ts'
import { byOperator } from '../support/operation.ts'

const t = forFile(
  await startApp({ AUDIENCE: 'https://api.example.com,orders,billing', SCOPES: 'orders:read,orders:write' }),
)
const user = await register(t)
const travel = stopClock(t)
const seconds = () => t.deps.clock().getTime() / 1000

const FULL = 'account orders:read orders:write'
const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe('the access token', () => {
  test('its header is exactly alg, typ and kid, and kid the thumbprint of a published key', async () => {
    const { kid } = await signingKey(t)
    const { token, accessToken } = await signIn(t, user)
    const renewed = (await refresh(t, 'body', token)).json().access_token as string
    for (const each of [accessToken, renewed]) expect(headerOf(each)).toEqual({ alg: 'RS256', typ: 'at+jwt', kid })
    expect(kid).toMatch(/^[A-Za-z0-9_-]{43}$/)
    const { keys } = (await t.inject({ url: '/.well-known/jwks.json' })).json<{ keys: { kid: string }[] }>()
    expect(keys.map((key) => key.kid)).toContain(kid)
  })

  test.each(['body', 'cookie'] as const)('its claims are exactly these, of these types (%s)', async (via) => {
    const { token, accessToken, sid, answer } = await signIn(t, user, via)
    const signedInAt = seconds()
    const expected = {
      iss: t.config.ISSUER,
      sub: user.id,
      aud: 'https://api.example.com',
      client_id: via === 'body' ? 'native' : 'web',
      iat: signedInAt,
      exp: signedInAt + 600,
      jti: expect.stringMatching(/^[A-Za-z0-9_-]{22}$/),
      sid,
      scope: FULL,
      auth_time: signedInAt,
      amr: ['pwd'],
      roles: [],
    }
    expect(claimsOf(accessToken)).toEqual(expected)
    expect(answer.json()).toMatchObject({ token_type: 'Bearer', expires_in: 600, scope: FULL })

    travel(3601.5)
    const refreshed = await refresh(t, via, token)
    expect(granted(refreshed)).toBeDefined()
    const iat = Math.floor(seconds())
    // What the sign-in proved is carried over, and never made to look newer.
    expect(claimsOf(refreshed.json().access_token)).toEqual({ ...expected, iat, exp: iat + 600 })
    travel(0.5)
  })

  test('its subject is a random UUID, and it tells nothing personal', async () => {
    const { accessToken } = await signIn(t, user, 'body', {}, { 'user-agent': 'curious/1' })
    expect(claimsOf(accessToken).sub).toMatch(UUID_V4)
    const text = JSON.stringify(claimsOf(accessToken))
    for (const personal of ['@', 'session-', '127.0.0.1', 'curious']) expect(text).not.toContain(personal)
  })

  test('no two have the same jti', async () => {
    const { token } = await signIn(t, user)
    const answers = await atOnce(20, () => refresh(t, 'body', token))
    expect(new Set(answers.map((answer) => claimsOf(answer.json().access_token).jti)).size).toBe(20)
  })

  test('custom claims of the user are copied, and replace none of ours', async () => {
    const someone = await register(t)
    const taken = {
      iss: 'https://evil.example',
      sub: 'root',
      aud: 'all',
      exp: 9e9,
      sid: 'x',
      scope: 'all',
      roles: ['admin'],
      jti: '1',
    }
    await t.db
      .updateTable('users')
      .set({ claims: JSON.stringify({ tenant: 'acme', limits: { seats: 3 }, ...taken }) })
      .where('id', '=', someone.id)
      .execute()
    const { accessToken, sid } = await signIn(t, someone)
    expect(claimsOf(accessToken)).toMatchObject({
      iss: t.config.ISSUER,
      sub: someone.id,
      aud: 'https://api.example.com',
      exp: seconds() + 600,
      sid,
      scope: FULL,
      roles: [],
      tenant: 'acme',
      limits: { seats: 3 },
    })
    expect((await bearer(t, accessToken)).statusCode).toBe(200)
  })
})

test.each([
  { failed: true },
  { failed: '' },
  { kind: 'refused', reason: 'signature' },
  { error: 'no', value: 1, attempt: 2, tag: 'y' },
  { nbf: 4102444800 },
  { exp: 1, iat: 4102444800, aud: [] },
])('whoever has the claims %j signs in, and is signed in', async (claims) => {
  const someone = await register(t)
  await t.db
    .updateTable('users')
    .set({ claims: JSON.stringify(claims) })
    .where('id', '=', someone.id)
    .execute()
  const { token, accessToken } = await signIn(t, someone)
  const renewed = await refresh(t, 'body', token)
  for (const each of [accessToken, renewed.json().access_token as string]) {
    expect((await bearer(t, each)).statusCode).toBe(200)
  }
})

describe('at sign-in', () => {
  test.each<[unknown, unknown]>([
    ['orders', 'orders'],
    [['billing'], 'billing'],
    [
      ['orders', 'billing'],
      ['orders', 'billing'],
    ],
    [['orders', 'orders'], 'orders'],
  ])('the audience %j may be asked for', async (audience, aud) => {
    const { accessToken } = await signIn(t, user, 'body', { audience })
    expect(claimsOf(accessToken).aud).toEqual(aud)
    expect((await bearer(t, accessToken)).statusCode).toBe(200)
  })

  test.each([
    ['audience', 'shipping', 'invalid_target'],
    ['audience', ['orders', 'shipping'], 'invalid_target'],
    ['audience', 'ORDERS', 'invalid_target'],
    ['audience', 'https://api.example.com/', 'invalid_target'],
    ['scope', 'admin', 'invalid_scope'],
    ['scope', 'account admin', 'invalid_scope'],
    ['scope', 'account  orders:read', 'invalid_scope'],
    ['scope', '', 'invalid_scope'],
    ['scope', ' account', 'invalid_scope'],
    ['audience', '', 'invalid_request'],
    ['audience', [], 'invalid_request'],
    ['scope', ['account'], 'invalid_request'],
  ])('the %s %j is refused with 400 and starts no session', async (name, value, code) => {
    const sessions = async () =>
      Number(
        (
          await t.db
            .selectFrom('families')
            .select(({ fn }) => fn.countAll().as('n'))
            .executeTakeFirstOrThrow()
        ).n,
      )
    const before = await sessions()
    const { email, password } = user
    const answer = await t.login({ email, password, [name]: value })
    expect([answer.statusCode, answer.json().code]).toEqual([400, code])
    expect(await sessions()).toBe(before)
  })
})

describe.each(['body', 'cookie'] as const)('at a refresh in the %s', (via) => {
  /** In the cookie a body may come along, too. */
  const narrowed = (token: string, more: Record<string, unknown>) =>
    via === 'body'
      ? refresh(t, via, token, { body: more })
      : t.inject({
          method: 'POST',
          url: '/refresh',
          headers: {
            cookie: `__Host-refresh_token=${token}`,
            origin: new URL(t.config.ISSUER).origin,
            'content-type': 'application/json',
          },
          payload: JSON.stringify(more),
        })

  test('scope and audience may be narrowed for one access token, and the grant stays', async () => {
    const { token, sid } = await signIn(t, user, via, { audience: ['orders', 'billing'] })
    const before = await family(t, sid)
    const narrow = await narrowed(token, { scope: 'orders:read', audience: 'billing' })
    const second = granted(narrow)
    expect(narrow.json().scope).toBe('orders:read')
    expect(claimsOf(narrow.json().access_token)).toMatchObject({ scope: 'orders:read', aud: 'billing' })
    const full = await refresh(t, via, second)
    expect(granted(full)).toBeDefined()
    expect(claimsOf(full.json().access_token)).toMatchObject({ scope: FULL, aud: ['orders', 'billing'] })
    const { scope, audience } = await family(t, sid)
    expect({ scope, audience }).toEqual({ scope: before.scope, audience: before.audience })
  })

  test('an access token that was narrowed to other scopes is 403 at our own endpoints, and names the scope', async () => {
    const { token } = await signIn(t, user, via)
    const narrow = await narrowed(token, { scope: 'orders:read' })
    expect(granted(narrow)).toBeDefined()
    for (const url of ['/me', '/sessions']) {
      const answer = await bearer(t, narrow.json().access_token, url)
      expect([answer.statusCode, answer.json().code]).toEqual([403, 'insufficient_scope'])
      expect(answer.headers['www-authenticate']).toBe(
        `Bearer realm="${t.config.ISSUER}", error="insufficient_scope", scope="account"`,
      )
    }
  })

  test.each([
    ['a scope that no client has', { scope: 'account admin' }, 'invalid_scope'],
    ['a scope that the sign-in was not granted', { scope: 'orders:write' }, 'invalid_scope'],
    ['a malformed scope', { scope: 'account  orders:read' }, 'invalid_scope'],
    ['an audience that no client has', { audience: 'shipping' }, 'invalid_target'],
    ['an audience that the sign-in was not granted', { audience: 'billing' }, 'invalid_target'],
    ['one audience too many', { audience: ['orders', 'billing'] }, 'invalid_target'],
  ])('%s is 400, and the presented token is still the current one', async (_name, more, code) => {
    const { token, sid } = await signIn(t, user, via, { scope: 'account orders:read', audience: 'orders' })
    const answer = await narrowed(token, more)
    expect([answer.statusCode, answer.json().code]).toEqual([400, code])
    expect(answer.headers['set-cookie']).toBeUndefined()
    expect(await family(t, sid)).toMatchObject({ generation: 0, rotation_key_hash: null, ended_at: null })
    const successor = granted(await refresh(t, via, token))
    // A retry cannot ask for more either, and an answer to it is no rotation.
    expect((await narrowed(token, more)).statusCode).toBe(400)
    expect(granted(await refresh(t, via, token))).toBe(successor)
    expect(await eventsOf(t, sid)).toEqual([])
  })
})

test('roles are read again at every refresh and count at our own endpoints at once', async () => {
  const someone = await register(t)
  await setRoles(t.deps, byOperator(t.deps), someone.id, ['editor', 'auditor'])
  const { token, accessToken } = await signIn(t, someone)
  expect(claimsOf(accessToken).roles).toEqual(['editor', 'auditor'])

  await setRoles(t.deps, byOperator(t.deps), someone.id, ['auditor'])
  expect((await bearer(t, accessToken)).json().roles).toEqual(['auditor'])
  const rotated = await refresh(t, 'body', token)
  expect(rotated.json().user.roles).toEqual(['auditor'])
  expect(claimsOf(rotated.json().access_token).roles).toEqual(['auditor'])

  await setRoles(t.deps, byOperator(t.deps), someone.id, [])
  // The careful path, too.
  const retried = await refresh(t, 'body', token)
  expect(granted(retried)).toBe(granted(rotated))
  expect(claimsOf(retried.json().access_token).roles).toEqual([])
})

test('a user who is disabled loses every session in the same transaction, and nothing of it works', async () => {
  const someone = await register(t)
  const sessions = [await signIn(t, someone), await signIn(t, someone, 'cookie')]
  expect(await disableUser(t.deps, byOperator(t.deps), someone.id)).toBe(2)
  for (const { delivery, token, accessToken, sid } of sessions) {
    expectRefused(await refresh(t, delivery, token))
    expect((await bearer(t, accessToken)).statusCode).toBe(401)
    expect(await family(t, sid)).toMatchObject({ end_cause: 'user_disabled' })
    expect(await eventsOf(t, sid)).toEqual(['session.ended user_disabled'])
  }
})

test('a disabled user is refused even where a session was left alive', async () => {
  const someone = await register(t)
  const { token, accessToken, sid } = await signIn(t, someone)
  await t.db.updateTable('users').set({ disabled_at: t.deps.clock() }).where('id', '=', someone.id).execute()
  expectRefused(await refresh(t, 'body', token))
  expect((await bearer(t, accessToken)).statusCode).toBe(401)
  expect(await eventsOf(t, sid)).toEqual(['refresh.refused user_disabled'])
})

test('a user who is deleted leaves no session behind', async () => {
  const someone = await register(t)
  const { token, accessToken } = await signIn(t, someone)
  await t.db.deleteFrom('users').where('id', '=', someone.id).execute()
  expectRefused(await refresh(t, 'body', token))
  expect((await bearer(t, accessToken)).statusCode).toBe(401)
})
