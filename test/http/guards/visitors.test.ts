import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../../support/app.ts'
import { addPublicClient, addServiceClient } from '../../support/clients.ts'

// A site that renders on a server states for whom it calls. Everything that counts by address then counts by the visitor's.

const LOGINS = 3

let t: TestApp
beforeAll(async () => {
  t = await createTestApp({ env: { RATE_LIMIT_LOGIN_PER_MINUTE: String(LOGINS) } })
})
afterAll(() => t[Symbol.asyncDispose]())

let site: { clientId: string; secret: string }
/** Other ones for each test, so that none is limited by another. */
let made = 0
let siteAddress: string
const visitorNumber = (index: number) => `203.0.${made}.${index}`
beforeEach(async () => {
  siteAddress = `198.51.100.${++made}`
  site = await addServiceClient(t, { statesVisitorAddress: true })
  await t.db.deleteFrom('rate_limits').execute()
})

const basic = (id: string, secret: string) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`
const proof = () => basic(site.clientId, site.secret)

interface Call {
  visitor?: string
  authorization?: string | undefined
  /** Of the connection. */
  from?: string
}

function post(url: string, body: object, { visitor, authorization = proof(), from = siteAddress }: Call = {}) {
  return t.inject({
    method: 'POST',
    url,
    remoteAddress: from,
    headers: {
      'content-type': 'application/json',
      ...(visitor === undefined ? {} : { 'claviger-visitor-address': visitor }),
      ...(authorization === '' ? {} : { authorization }),
    },
    payload: JSON.stringify(body),
  })
}

let wrong: { email: string; password: string; client_id: string }
beforeEach(() => {
  wrong = { email: `nobody-${made}@example.com`, password: 'not this one', client_id: 'native' }
})
const statusOf = async (call: Call, body: object = wrong) => (await post('/login', body, call)).statusCode

/** The addresses that limits have counted. */
const counted = async () => {
  const rows = await t.db.selectFrom('rate_limits').select('key').where('policy', 'like', 'login%').execute()
  return [...new Set(rows.map(({ key }) => key))].toSorted()
}

describe('a site that has proved itself', () => {
  test('has each of its visitors limited by themselves, and not by its own address', async () => {
    for (let attempt = 0; attempt < LOGINS; attempt++) expect(await statusOf({ visitor: visitorNumber(1) })).toBe(401)
    expect(await statusOf({ visitor: visitorNumber(1) })).toBe(429)
    expect(await statusOf({ visitor: visitorNumber(2) })).toBe(401)
    expect(await counted()).not.toContain(siteAddress)
  })

  test('has the visitor’s address in the session list, the trail and the log', async () => {
    const { email, userId } = await t.signUp()
    const body = { email, password: TEST_PASSWORD, client_id: 'native' }
    const reply = await post('/login', body, { visitor: '2001:DB8::7' })
    expect(reply.statusCode, reply.body).toBe(200)
    const { access_token: token, refresh_token } = reply.json<{ access_token: string; refresh_token: string }>()
    const list = await t.inject({ method: 'GET', url: '/sessions', headers: { authorization: `Bearer ${token}` } })
    const { sessions } = list.json<{ sessions: { address: string }[] }>()
    expect(sessions.map(({ address }) => address)).toContain('2001:db8::7')
    const trail = await t.db.selectFrom('audit').selectAll().where('user_id', '=', userId).execute()
    expect(trail.find(({ type, address }) => type === 'login' && address === '2001:db8::7')).toBeDefined()
    expect((await post('/refresh', { refresh_token }, { visitor: visitorNumber(9) })).statusCode).toBe(200)
    const line = t.logs.find(({ route, address }) => route === '/refresh' && address === visitorNumber(9))
    expect(line).toMatchObject({ status: 200, statedBy: site.clientId })
  })

  test('is not asked for an address', async () => {
    expect(await statusOf({})).toBe(401)
    expect(await counted()).toEqual([siteAddress])
  })

  test.each([
    ['an IPv4 address that is written as IPv6', '::ffff:203.0.113.5', '203.0.113.5'],
    ['a network of IPv6, as one subscriber', '2001:db8:0:0:1::1', '2001:db8::'],
    ['a visitor of an internal site', '10.1.2.3', '10.1.2.3'],
    ['a visitor on the same machine', '127.0.0.1', '127.0.0.1'],
  ])('is believed: %s', async (_case, visitor, key) => {
    expect(await statusOf({ visitor })).toBe(401)
    expect(await counted()).toEqual([key])
  })

  test('loses that within a second of being disabled', async () => {
    expect(await statusOf({ visitor: visitorNumber(1) })).toBe(401)
    await t.db.updateTable('clients').set({ disabled_at: t.deps.clock() }).where('id', '=', site.clientId).execute()
    t.travel(1)
    const { statusCode, json } = await post('/login', wrong, { visitor: visitorNumber(1) })
    expect([statusCode, json().code]).toEqual([401, 'invalid_client'])
  })

  test.each([
    ['/register', { email: 'new@example.com', password: TEST_PASSWORD }, 201],
    ['/logout', {}, 204],
    ['/password/forgot', { email: 'nobody@example.com' }, 202],
    ['/email/confirm', { token: 'a'.repeat(43) }, 400],
  ])('may do so at %s', async (url, body, status) => {
    const reply = await post(url, body, { visitor: visitorNumber(3) })
    expect(reply.statusCode, reply.body).toBe(status)
    expect(t.logs.find(({ route, address }) => route === url && address === visitorNumber(3))).toBeDefined()
  })
})

describe('an OAuth library of the site, with the refresh token of a native client', () => {
  const form = (url: string, fields: Record<string, string>) =>
    t.inject({
      method: 'POST',
      url,
      remoteAddress: siteAddress,
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        'claviger-visitor-address': visitorNumber(4),
        authorization: proof(),
      },
      payload: String(new URLSearchParams(fields)),
    })

  test.each([
    ['/oauth/token', (token: string) => ({ grant_type: 'refresh_token', client_id: 'native', refresh_token: token })],
    ['/oauth/revoke', (token: string) => ({ client_id: 'native', token })],
  ])('states the address at %s, and its proof is not taken for one of the native client', async (url, fields) => {
    const { refreshToken } = await t.signUp()
    const reply = await form(url, fields(refreshToken))
    expect(reply.statusCode, reply.body).toBe(200)
    expect(t.logs.find(({ route, address }) => route === url && address === visitorNumber(4))).toBeDefined()
    const bare = await t.refresh(refreshToken)
    expect(bare.statusCode, 'the session is as that client has left it').toBe(url === '/oauth/token' ? 200 : 401)
  })

  const ownToken = () => form('/oauth/token', { grant_type: 'client_credentials' })

  test('or for a token of its own', async () => {
    const reply = await ownToken()
    expect([reply.statusCode, reply.json().token_type]).toEqual([200, 'Bearer'])
  })

  test('which a visitor who guesses at its secret does not keep from it', async () => {
    const guess = () =>
      statusOf({ from: visitorNumber(4), visitor: visitorNumber(4), authorization: basic(site.clientId, 'x') })
    for (let failure = 1; failure <= 5; failure++) expect(await guess()).toBe(401)
    expect(await guess()).toBe(429)
    expect((await ownToken()).statusCode).toBe(200)
  })
})

describe('whoever chooses the address evades the limits, so it is refused', () => {
  let visitor: string
  beforeEach(() => {
    visitor = visitorNumber(66)
  })

  test.each<[string, () => string | Promise<string>, number]>([
    ['without credentials', () => '', 400],
    ['with an access token', async () => `Bearer ${(await t.signUp()).accessToken}`, 400],
    ['with another scheme', () => proof().replace('Basic', 'Digest'), 400],
    ['as a built-in client', () => basic('native', ''), 401],
    ['as a client that people sign in with', async () => basic((await addPublicClient(t)).clientId, site.secret), 401],
    ['as a client that there is not', () => basic(`cl_${'a'.repeat(22)}`, site.secret), 401],
    ['with another client’s secret', async () => basic(site.clientId, (await addServiceClient(t)).secret), 401],
    ['with an empty secret', () => basic(site.clientId, ''), 401],
    ['with what is no base64', () => 'Basic ~', 401],
    ['as a client that may state none', async () => basic(...pair(await addServiceClient(t))), 400],
  ])('%s', async (_case, authorization, status) => {
    const credentials = await authorization()
    const reply = await post('/login', wrong, { visitor, authorization: credentials })
    expect([reply.statusCode, reply.json().code]).toEqual([
      status,
      status === 401 ? 'invalid_client' : 'invalid_request',
    ])
    expect(reply.headers['www-authenticate']).toBe(status === 401 ? `Basic realm="${t.config.ISSUER}"` : undefined)
    expect(await counted()).not.toContain(visitor)
    expect(t.logs.filter(({ address }) => address === visitor)).toEqual([])
  })

  test.each([
    ['a list', '203.0.113.1, 203.0.113.2'],
    ['a zone', 'fe80::1%eth0'],
    ['a port', '203.0.113.1:443'],
    ['brackets', '[2001:db8::1]'],
    ['octal digits', '0313.0.113.1'],
    ['a shortened address', '203.113'],
    ['a number', '3405803777'],
    ['a network', '203.0.113.0/24'],
    ['a name', 'localhost'],
    ['nothing', ''],
  ])('%s in place of an address, and no secret is looked at for it', async (_case, text) => {
    const reply = await post('/login', wrong, { visitor: text, authorization: basic(site.clientId, 'wrong') })
    expect([reply.statusCode, reply.json().code]).toEqual([400, 'invalid_request'])
    expect(await counted()).toEqual([])
  })

  test('at endpoints that take an access token', async () => {
    const { accessToken } = await t.signUp()
    for (const authorization of [`Bearer ${accessToken}`, proof()]) {
      const reply = await t.inject({
        method: 'GET',
        url: '/me',
        headers: { authorization, 'claviger-visitor-address': visitor },
      })
      expect([reply.statusCode, reply.json().code]).toEqual([400, 'invalid_request'])
    }
  })

  test('and who guesses at a secret is held off by the address of the connection, whatever they state', async () => {
    const guess = (index: number, from = siteAddress) =>
      statusOf({ visitor: visitorNumber(index), authorization: basic(site.clientId, `guess ${index}`), from })
    for (let index = 1; index <= 5; index++) expect(await guess(index)).toBe(401)
    expect(await guess(6)).toBe(429)
    expect(await statusOf({ visitor }), 'the right secret, from there').toBe(429)
    expect(await statusOf({ visitor, from: '192.0.2.8' }), 'the site, from elsewhere').toBe(401)
  })

  test('by browsers: no page may send the header', async () => {
    const reply = await t.inject({
      method: 'OPTIONS',
      url: '/login',
      headers: {
        origin: new URL(t.config.ISSUER).origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'claviger-visitor-address',
      },
    })
    expect(reply.statusCode).toBe(204)
    expect(reply.headers['access-control-allow-headers']).not.toContain('claviger')
  })
})

const pair = ({ clientId, secret }: { clientId: string; secret: string }): [string, string] => [clientId, secret]
