import { decodeJwt, decodeProtectedHeader } from 'jose'
import { describe, expect, test } from 'vitest'
import { setClientEnabled } from '../../src/clients/change.ts'
import { newClientId } from '../../src/clients/identifiers.ts'
import { createTestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { byOperator } from '../support/operation.ts'
import { askForToken, basic, tokenFor } from './authentication.ts'

const PAGE = 'https://app.example.com'
const VIEW = 'capacitor://localhost'
const ORDERS = 'https://orders.example.com'
const BILLS = 'https://bills.example.com'
const t = forFile(
  await createTestApp({ env: { ALLOWED_ORIGINS: PAGE, NATIVE_ORIGINS: VIEW, SCOPES: 'read', AUDIENCE: ORDERS } }),
)
const plain = await addServiceClient(t)
const registered = await addServiceClient(t, {
  scopes: ['read', 'write'],
  audiences: [ORDERS, BILLS],
  accessTokenSeconds: 120,
})

describe('client_credentials', () => {
  test('a service gets an access token that is no user’s, and no refresh token', async () => {
    const answer = await tokenFor(t, registered)
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.headers['content-type']).toMatch(/^application\/json/)
    expect(answer.headers['set-cookie']).toBeUndefined()
    const { access_token: token, ...rest } = answer.json()
    expect(rest).toEqual({ token_type: 'Bearer', expires_in: 120, scope: 'read write' })
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'RS256', typ: 'at+jwt' })
    const { iat = 0, exp, jti, ...claims } = decodeJwt(token)
    expect(claims).toEqual({
      iss: t.config.ISSUER,
      sub: registered.clientId,
      client_id: registered.clientId,
      aud: ORDERS,
      scope: 'read write',
    })
    expect(exp).toBe(iat + 120)
    expect(jti).toMatch(/^[\w-]{22}$/)
  })

  test('with nothing registered it has the settings’ audience and time, and no scope', async () => {
    const { access_token: token, ...rest } = (await tokenFor(t, plain)).json()
    expect(rest).toEqual({ token_type: 'Bearer', expires_in: t.config.ACCESS_TOKEN_SECONDS })
    expect(decodeJwt(token)).toMatchObject({ aud: ORDERS })
    expect(decodeJwt(token)).not.toHaveProperty('scope')
  })

  test.each<[Record<string, string>, object]>([
    [{ scope: 'write' }, { scope: 'write', aud: ORDERS }],
    [{ audience: BILLS }, { scope: 'read write', aud: BILLS }],
    [{ resource: BILLS }, { aud: BILLS }],
    [
      { audience: `${BILLS} ${ORDERS}`, scope: 'read read' },
      { scope: 'read', aud: [BILLS, ORDERS] },
    ],
    [{ audience: BILLS, resource: ORDERS }, { aud: [BILLS, ORDERS] }],
    // RFC 6749 §3.1: without a value it counts as left out. Unknown parameters are ignored.
    [
      { scope: '', audience: '', refresh_token: '', colour: 'blue' },
      { scope: 'read write', aud: ORDERS },
    ],
  ])('it may ask for less: %j', async (fields, expected) => {
    const answer = await tokenFor(t, registered, fields)
    expect(decodeJwt(answer.json().access_token)).toMatchObject(expected)
  })

  test.each([
    [{ scope: 'read admin' }, 'invalid_scope'],
    [{ scope: 'account' }, 'invalid_scope'],
    [{ scope: 'read  write' }, 'invalid_scope'],
    [{ audience: 'https://other.example.com' }, 'invalid_target'],
    [{ audience: `${ORDERS} https://other.example.com` }, 'invalid_target'],
    [{ resource: t.config.ISSUER }, 'invalid_target'],
  ])('it may not ask for more: %j', async (fields, error) => {
    const answer = await tokenFor(t, registered, fields)
    expect(answer.statusCode).toBe(400)
    expect(answer.json()).toEqual({ error, error_description: expect.any(String) })
    expect(answer.headers['cache-control']).toBe('no-store')
  })

  test('an unknown client and a wrong secret get the same answer', async () => {
    const answers = [
      await tokenFor(t, { clientId: 'cl_AAAAAAAAAAAAAAAAAAAAAA', secret: plain.secret }),
      await tokenFor(t, { clientId: plain.clientId, secret: registered.secret }),
      await askForToken(t, { grant_type: 'client_credentials', client_id: plain.clientId }),
      await askForToken(t, { grant_type: 'client_credentials' }),
    ]
    for (const answer of answers) {
      expect(answer.statusCode).toBe(401)
      expect(answer.headers['www-authenticate']).toBe(`Basic realm="${t.config.ISSUER}"`)
      expect(answer.json()).toEqual({
        error: 'invalid_client',
        error_description: 'The client could not be authenticated',
      })
    }
  })

  test('after five failures the sixth attempt is 429, and says when to come back', async () => {
    const { clientId, secret } = await addServiceClient(t)
    for (let i = 0; i < 5; i++) expect((await tokenFor(t, { clientId, secret: 'x' })).statusCode).toBe(401)
    const answer = await tokenFor(t, { clientId, secret })
    expect(answer.statusCode).toBe(429)
    expect(answer.headers['retry-after']).toBe('30')
    expect(answer.json()).toMatchObject({ error: 'temporarily_unavailable' })
  })

  test('an address has sixty failures a minute, whatever ids it makes up, and whoever is right there goes on', async () => {
    const client = await addServiceClient(t)
    const ask = (clientId: string, secret: string) =>
      t.inject({
        method: 'POST',
        url: '/oauth/token',
        remoteAddress: '192.0.2.60',
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          authorization: basic(clientId, secret),
        },
        payload: 'grant_type=client_credentials',
      })
    const statuses: number[] = []
    for (let i = 0; i < 61; i++) statuses.push((await ask(newClientId(), client.secret)).statusCode)
    expect(statuses).toEqual([...Array.from({ length: 60 }, () => 401), 429])
    expect((await ask(client.clientId, client.secret)).statusCode).toBe(200)
    expect(t.logs.at(-1)).toMatchObject({ msg: 'request', clientId: client.clientId })
  })

  test('people’s clients have no such grant, and a secret of theirs proves nothing', async () => {
    const open = await askForToken(t, { grant_type: 'client_credentials', client_id: 'native' })
    expect(open.statusCode).toBe(400)
    expect(open.json().error).toBe('unauthorized_client')
    const secret = await askForToken(t, { grant_type: 'client_credentials', client_id: 'native', client_secret: 'x' })
    expect(secret.statusCode).toBe(401)
    expect(secret.json().error).toBe('invalid_client')
  })

  test('a client that was disabled gets none, and its token is good for nothing here', async () => {
    const client = await addServiceClient(t, { scopes: ['read'] })
    const { access_token: token } = (await tokenFor(t, client)).json()
    const me = () => t.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } })
    expect((await me()).statusCode).toBe(403)
    await setClientEnabled(t.deps, byOperator(t.deps), { id: client.clientId, enabled: false })
    expect((await tokenFor(t, client)).json()).toMatchObject({ error: 'invalid_client' })
    expect((await me()).statusCode).toBe(401)
  })

  test.each(['GET /me', 'GET /sessions', 'DELETE /sessions', 'POST /password', 'POST /email/confirm'])(
    '%s is not for services',
    async (route) => {
      const { access_token: token } = (await tokenFor(t, registered)).json()
      const [method, url] = route.split(' ') as ['GET', string]
      const answer = await t.inject({ method, url, headers: { authorization: `Bearer ${token}` } })
      expect(answer.statusCode).toBe(403)
      expect(answer.json()).toMatchObject({ code: 'insufficient_scope' })
      expect(answer.headers['www-authenticate']).toContain('error="insufficient_scope"')
    },
  )
})

describe('refresh_token', () => {
  const exchange = (token: string, fields: Record<string, string> = {}, headers?: Record<string, string>) =>
    askForToken(t, { grant_type: 'refresh_token', refresh_token: token, client_id: 'native', ...fields }, headers)

  test('a native client exchanges its refresh token, which is spent then', async () => {
    const { refreshToken, userId } = await t.signUp()
    const answer = await exchange(refreshToken)
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['cache-control']).toBe('no-store')
    const { access_token: token, refresh_token: next, ...rest } = answer.json()
    expect(rest).toEqual({
      token_type: 'Bearer',
      expires_in: t.config.ACCESS_TOKEN_SECONDS,
      scope: 'account read',
      refresh_expires_in: expect.closeTo(t.config.REMEMBER_IDLE_SECONDS, -1),
    })
    expect(decodeJwt(token)).toMatchObject({ sub: userId, client_id: 'native' })
    expect((await t.refresh(next)).statusCode).toBe(200)
    // Both endpoints judge by one rule: the token counts as replayed.
    const replayed = await exchange(refreshToken)
    expect(replayed.statusCode).toBe(400)
    expect(replayed.json()).toMatchObject({ error: 'invalid_grant' })
    expect((await t.refresh(next)).statusCode).toBe(401)
  })

  test('a retry with the same Idempotency-Key gets the same successor at any time', async () => {
    const { refreshToken } = await t.signUp()
    const key = { 'idempotency-key': 'one exchange' }
    const first = (await exchange(refreshToken, {}, key)).json()
    t.travel(60)
    const second = (await exchange(refreshToken, {}, key)).json()
    expect(second.refresh_token).toBe(first.refresh_token)
    const empty = await exchange(refreshToken, {}, { 'idempotency-key': '' })
    expect(empty.json()).toMatchObject({ error: 'invalid_request' })
  })

  test('it may ask for less, and not for more', async () => {
    const { refreshToken } = await t.signUp()
    const less = (await exchange(refreshToken, { scope: 'read' })).json()
    expect(less.scope).toBe('read')
    expect((await exchange(less.refresh_token, { scope: 'write' })).json()).toMatchObject({ error: 'invalid_scope' })
    expect((await exchange(less.refresh_token, { resource: BILLS })).json()).toMatchObject({ error: 'invalid_target' })
  })

  test.each<[string, Record<string, string>, number, string]>([
    ['garbage', { refresh_token: 'rt1_garbage' }, 400, 'invalid_grant'],
    ['no token', { refresh_token: '' }, 400, 'invalid_request'],
    ['no client', { client_id: '' }, 400, 'invalid_request'],
    ['an unknown client', { client_id: 'nobody' }, 401, 'invalid_client'],
    ['another client', { client_id: 'web' }, 400, 'invalid_grant'],
    ['a service', { client_id: plain.clientId }, 401, 'invalid_client'],
    ['a secret that is none', { client_secret: 'x' }, 401, 'invalid_client'],
  ])('%s is refused, and the session goes on', async (_what, fields, status, error) => {
    const { refreshToken } = await t.signUp()
    const answer = await exchange(refreshToken, fields)
    expect(answer.statusCode).toBe(status)
    expect(answer.json()).toMatchObject({ error })
    expect((await exchange(refreshToken)).statusCode).toBe(200)
  })

  test('a service proves itself in vain', async () => {
    const { refreshToken } = await t.signUp()
    const headers = { authorization: basic(plain.clientId, plain.secret) }
    const answer = await exchange(refreshToken, { client_id: plain.clientId }, headers)
    expect(answer.statusCode).toBe(400)
    expect(answer.json()).toMatchObject({ error: 'unauthorized_client' })
  })

  test('the token of a cookie is refused in the form', async () => {
    const { refreshToken } = await t.signUp(undefined, undefined, { client_id: 'web' })
    for (const client_id of ['web', 'native'])
      expect((await exchange(refreshToken, { client_id })).json()).toMatchObject({ error: 'invalid_grant' })
    expect((await t.refresh(refreshToken, { via: 'cookie' })).statusCode).toBe(200)
  })

  test('for a site that states the address of its visitor', async () => {
    const site = await addServiceClient(t, { statesVisitorAddress: true })
    const { refreshToken } = await t.signUp()
    const stated = { authorization: basic(site.clientId, site.secret), 'claviger-visitor-address': '203.0.113.7' }
    expect((await exchange(refreshToken, {}, stated)).statusCode).toBe(200)
    expect(t.logs.at(-1)).toMatchObject({ msg: 'request', address: '203.0.113.7', statedBy: site.clientId })
    const own = await askForToken(t, { grant_type: 'client_credentials' }, stated)
    expect(own.statusCode).toBe(200)
  })

  test('web views that are listed may, and no page', async () => {
    const { refreshToken } = await t.signUp()
    for (const origin of [PAGE, t.config.ISSUER, 'https://evil.example']) {
      const answer = await exchange(refreshToken, {}, { origin })
      expect(answer.statusCode).toBe(403)
      expect(answer.json()).toMatchObject({ error: 'invalid_request' })
    }
    const answer = await exchange(refreshToken, {}, { origin: VIEW })
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['access-control-allow-origin']).toBe(VIEW)
  })
})

describe('what is no request for a token', () => {
  const headers = { authorization: basic(plain.clientId, plain.secret) }

  test.each([
    ['password', 'unsupported_grant_type'],
    ['authorization_code', 'unsupported_grant_type'],
    ['urn:ietf:params:oauth:grant-type:token-exchange', 'unsupported_grant_type'],
    ['__proto__', 'unsupported_grant_type'],
    ['', 'invalid_request'],
  ])('the grant type %j: %s', async (grant_type, error) => {
    const answer = await askForToken(t, { grant_type }, headers)
    expect(answer.statusCode).toBe(400)
    expect(answer.json()).toMatchObject({ error })
  })

  test('a body of another type, a repeated parameter, a wrong method', async () => {
    const body = { method: 'POST', url: '/oauth/token' } as const
    const json = { ...headers, 'content-type': 'application/json' }
    const answer = await t.inject({ ...body, headers: json, payload: '{"grant_type":"client_credentials"}' })
    expect(answer.statusCode).toBe(415)
    expect(answer.json()).toMatchObject({ error: 'invalid_request' })
    const twice = 'grant_type=client_credentials&grant_type=client_credentials'
    expect((await askForToken(t, twice, headers)).json()).toMatchObject({ error: 'invalid_request' })
    expect((await askForToken(t, '', headers)).json()).toMatchObject({ error: 'invalid_request' })
    const got = await t.inject({ url: '/oauth/token?grant_type=client_credentials', headers })
    expect(got.statusCode).toBe(405)
    expect(got.headers.allow).toBe('POST')
  })

  test('two proofs at a time', async () => {
    const fields = { grant_type: 'client_credentials', client_id: plain.clientId, client_secret: plain.secret }
    const answer = await askForToken(t, fields, headers)
    expect(answer.statusCode).toBe(400)
    expect(answer.json()).toMatchObject({ error: 'invalid_request' })
  })
})
