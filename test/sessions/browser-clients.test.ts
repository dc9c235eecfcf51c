import type { LightMyRequestResponse } from 'fastify'
import { describe, expect, test } from 'vitest'
import { setClientEnabled } from '../../src/clients/change.ts'
import { disableClient } from '../../src/oauth/disable-client.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { addPublicClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { startForwarder } from '../support/forwarder.ts'
import { sidOf } from '../support/jwt.ts'
import { byOperator } from '../support/operation.ts'
import { bearer, COOKIE, eventsOf, expectRefused, isLive, ownOrigin, PAGE, register, startApp } from './support.ts'

const t = forFile(await startApp())
const user = await register(t)

const SHOP = 'https://shop.example'
const DESK = 'https://desk.example'
const BOTH = 'https://both.example'
const { clientId: shop } = await addPublicClient(t, { origins: [SHOP, BOTH] })
const { clientId: desk } = await addPublicClient(t, { origins: [DESK, BOTH] })
const nameOf = (clientId: string): string => (clientId === 'web' ? COOKIE : `${COOKIE}.${clientId}`)

interface Sent {
  origin: string
  /** Tokens by the client in whose cookie they are. */
  cookies?: Record<string, string>
  body?: object
  on?: TestApp
}

function post(url: string, { origin, cookies = {}, body, on = t }: Sent) {
  const cookie = Object.entries(cookies).map(([clientId, token]) => `${nameOf(clientId)}=${token}`)
  const headers = { origin, ...(cookie.length > 0 && { cookie: cookie.join('; ') }) }
  return on.inject({ method: 'POST', url, headers, ...(body && { payload: body }) })
}

interface Session {
  token: string
  sid: string
  accessToken: string
}

/** What a reply sets in the cookie of a client. */
const setBy = (answer: LightMyRequestResponse, clientId: string) =>
  answer.cookies.find(({ name }) => name === nameOf(clientId))

function sessionOf(answer: LightMyRequestResponse, clientId: string): Session {
  expect([answer.statusCode, answer.json().code]).toEqual([200, undefined])
  const accessToken: string = answer.json().access_token
  return { token: setBy(answer, clientId)?.value ?? '', sid: sidOf(accessToken), accessToken }
}

const credentials = { email: user.email, password: user.password }
const signIn = async (clientId: string, origin: string, rest: Partial<Sent> = {}): Promise<Session> =>
  sessionOf(await post('/login', { origin, ...rest, body: { ...credentials, client_id: clientId } }), clientId)

const refreshNames = (answer: LightMyRequestResponse) =>
  answer.cookies.map(({ name }) => name).filter((name) => name.startsWith(COOKIE))

describe('a registered client of browsers', () => {
  test('has a cookie of its own, from the sign-in to the sign-out, and needs no name on its own page', async () => {
    const answer = await post('/login', { origin: SHOP, body: credentials })
    expect(refreshNames(answer)).toEqual([nameOf(shop)])
    expect(answer.headers['set-cookie']).toEqual(
      expect.arrayContaining([
        expect.stringMatching(`^${COOKIE}\\.${shop}=rt1_[\\w-]+; Path=/; HttpOnly; Secure; SameSite=Strict$`),
      ]),
    )
    const { token, sid } = sessionOf(answer, shop)
    const next = await post('/refresh', { origin: SHOP, cookies: { [shop]: token } })
    expect(refreshNames(next)).toEqual([nameOf(shop)])
    const gone = await post('/logout', { origin: SHOP, cookies: { [shop]: sessionOf(next, shop).token } })
    expect(gone.statusCode).toBe(204)
    expect(gone.headers['set-cookie']).toBe(`${nameOf(shop)}=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Strict`)
    expect(await isLive(t, sid)).toBe(false)
  })

  test('has the lifetimes that it states', async () => {
    const { clientId } = await addPublicClient(t, {
      origins: ['https://brief.example'],
      rememberIdleSeconds: 600,
      rememberMaxSeconds: 900,
      sessionIdleSeconds: 60,
      sessionMaxSeconds: 90,
      accessTokenSeconds: 30,
    })
    const sent = { origin: 'https://brief.example' }
    const answer = await post('/login', { ...sent, body: { ...credentials, remember: true } })
    expect(answer.json()).toMatchObject({ expires_in: 30, refresh_expires_in: 600 })
    expect(setBy(answer, clientId)?.maxAge).toBe(600)
    const brief = await post('/login', { ...sent, body: credentials })
    expect(brief.json()).toMatchObject({ expires_in: 30, refresh_expires_in: 60 })
    const next = await post('/refresh', { ...sent, cookies: { [clientId]: sessionOf(brief, clientId).token } })
    expect(next.json()).toMatchObject({ expires_in: 30 })
    const [, payload = ''] = next.json().access_token.split('.')
    const { iat, exp } = JSON.parse(Buffer.from(payload, 'base64url').toString())
    expect(exp - iat).toBe(30)
  })

  test('is among those whose pages a preflight is answered for; a request is judged by its own client’s list', async () => {
    const preflight = (origin: string) =>
      t.inject({ method: 'OPTIONS', url: '/login', headers: { origin, 'access-control-request-method': 'POST' } })
    for (const origin of [SHOP, DESK, PAGE])
      expect((await preflight(origin)).headers['access-control-allow-origin']).toBe(origin)
    expect((await preflight('https://evil.example')).headers['access-control-allow-origin']).toBeUndefined()
    for (const [clientId, origin] of [
      [shop, DESK],
      [shop, PAGE],
      ['web', SHOP],
    ] as const) {
      const answer = await post('/login', { origin, body: { ...credentials, client_id: clientId } })
      expect([answer.statusCode, answer.json().code]).toEqual([403, 'origin_not_allowed'])
    }
    // The issuer's own pages may act for all of them.
    await signIn(shop, ownOrigin(t))
  })

  test('that shares a page with another one is named; else the first of them is meant', async () => {
    const [first, second] = [await signIn(shop, BOTH), await signIn(desk, BOTH)]
    const cookies = { [shop]: first.token, [desk]: second.token }
    expect(refreshNames(await post('/refresh', { origin: BOTH, cookies }))).toEqual([nameOf(shop)])
    const named = { origin: BOTH, cookies, body: { client_id: desk } }
    expect(refreshNames(await post('/refresh', named))).toEqual([nameOf(desk)])
    const gone = await post('/logout', named)
    expect([gone.statusCode, refreshNames(gone)]).toEqual([204, [nameOf(desk)]])
    expect([await isLive(t, first.sid), await isLive(t, second.sid)]).toEqual([true, false])
  })
})

describe('of the cookies of several clients', () => {
  test('one counts: that of the client that asks', async () => {
    const own = { web: await signIn('web', PAGE), [shop]: await signIn(shop, SHOP), [desk]: await signIn(desk, DESK) }
    const cookies = Object.fromEntries(Object.entries(own).map(([id, { token }]) => [id, token]))
    for (const [id, origin] of [
      ['web', PAGE],
      [shop, SHOP],
      [desk, DESK],
    ] as const) {
      const next = await post('/refresh', { origin, cookies })
      expect([refreshNames(next), sessionOf(next, id).sid]).toEqual([[nameOf(id)], own[id]?.sid])
    }
  })

  test('a sign-in replaces its own client’s and no other', async () => {
    const [page, first, other] = [await signIn('web', PAGE), await signIn(shop, SHOP), await signIn(desk, DESK)]
    const cookies = { web: page.token, [shop]: first.token, [desk]: other.token }
    await signIn(shop, SHOP, { cookies })
    expect(await eventsOf(t, first.sid)).toEqual(['session.ended replaced_by_login'])
    expect([await isLive(t, page.sid), await isLive(t, other.sid)]).toEqual([true, true])
  })

  test('two under one name are refused, two of different clients are not', async () => {
    const { token } = await signIn(shop, SHOP)
    const cookie = `${nameOf(shop)}=${token}; ${nameOf(shop)}=${token}`
    const answer = await t.inject({ method: 'POST', url: '/refresh', headers: { origin: SHOP, cookie } })
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_request'])
  })
})

describe('the cookie of another client', () => {
  test('is not looked at', async () => {
    const { token, sid } = await signIn(desk, DESK)
    expectRefused(await post('/refresh', { origin: SHOP, cookies: { [desk]: token } }))
    expectRefused(await post('/refresh', { origin: PAGE, cookies: { [desk]: token } }))
    const gone = await post('/logout', { origin: SHOP, cookies: { [desk]: token } })
    expect([gone.statusCode, refreshNames(gone)]).toEqual([204, [nameOf(shop)]])
    expect([await isLive(t, sid), await eventsOf(t, sid)]).toEqual([true, []])
  })

  test('is not for pages of this one, whoever is named', async () => {
    const { token, sid } = await signIn(desk, DESK)
    for (const url of ['/refresh', '/logout']) {
      const sent = { origin: SHOP, cookies: { [desk]: token }, body: { client_id: desk } }
      const answer = await post(url, sent)
      expect([answer.statusCode, answer.json().code]).toEqual([403, 'origin_not_allowed'])
    }
    expect(await isLive(t, sid)).toBe(true)
  })

  test.each([
    ['that of another registered one', desk, DESK],
    ['that of web', 'web', PAGE],
  ])('planted under this one’s name proves and ends nothing: %s', async (_what, owner, page) => {
    const { token, sid } = await signIn(owner, page)
    const planted = { origin: SHOP, cookies: { [shop]: token } }
    expectRefused(await post('/refresh', planted))
    await post('/login', { ...planted, body: credentials })
    expect((await post('/logout', planted)).statusCode).toBe(204)
    expect(await isLive(t, sid)).toBe(true)
    await t.deps.tally.flush(t.deps.clock())
    expect(await eventsOf(t, sid)).toContain('refresh.refused wrong_client')
    sessionOf(await post('/refresh', { origin: page, cookies: { [owner]: token } }), owner)
  })

  test('planted under the name of web proves nothing either', async () => {
    const { token, sid } = await signIn(shop, SHOP)
    expectRefused(await post('/refresh', { origin: PAGE, cookies: { web: token } }))
    await post('/logout', { origin: PAGE, cookies: { web: token } })
    expect(await isLive(t, sid)).toBe(true)
  })

  test('is not ended by a name that is no browser client’s, nor deleted', async () => {
    const { token, sid } = await signIn('web', PAGE)
    for (const client_id of ['native', 'nobody', `cl_${'a'.repeat(22)}`]) {
      const answer = await post('/logout', { origin: PAGE, cookies: { web: token }, body: { client_id } })
      expect([answer.statusCode, answer.cookies.filter(({ name }) => name === COOKIE)]).toEqual([204, []])
      expectRefused(await post('/refresh', { origin: PAGE, cookies: { web: token }, body: { client_id } }))
    }
    expect(await isLive(t, sid)).toBe(true)
  })
})

describe('a web view that names no client', () => {
  const VIEW = 'capacitor://till'
  test('acts for the one that has it, and for no other', async () => {
    const { clientId } = await addPublicClient(t, { type: 'native', origins: [VIEW] })
    const own = await t.login({ ...credentials, client_id: clientId })
    const other = await t.login(credentials)
    const send = (answer: LightMyRequestResponse, url = '/refresh') =>
      post(url, { origin: VIEW, body: { refresh_token: answer.json().refresh_token } })
    expect((await send(own)).statusCode).toBe(200)
    expectRefused(await send(other))
    await send(other, '/logout')
    expect(await isLive(t, sidOf(other.json().access_token))).toBe(true)
    // Where two have it, the token tells.
    await addPublicClient(t, { type: 'native', origins: [VIEW] })
    expect((await send(other)).statusCode).toBe(200)
  })
})

describe('a client that is disabled', () => {
  const page = 'https://closing.example'

  test('is refused as unknown, its sessions are over everywhere, and its cookie can still be deleted', async () => {
    const { clientId } = await addPublicClient(t, { origins: [page] })
    await using replica = await createTestApp({ join: t })
    await replica.clients.stop()
    const { token, accessToken, sid } = await signIn(clientId, page)
    expect(await disableClient(t.deps, byOperator(t.deps), { id: clientId, type: 'browser' })).toBe(1)
    // This replica is never told: the row says so.
    const late = await post('/login', { origin: page, on: replica, body: { ...credentials, client_id: clientId } })
    expect([late.statusCode, late.json().code]).toEqual([400, 'invalid_client'])
    for (const on of [replica, t]) {
      const sent = { origin: ownOrigin(t), on, cookies: { [clientId]: token }, body: { client_id: clientId } }
      expectRefused(await post('/refresh', sent))
      expect((await bearer(on, accessToken)).statusCode).toBe(401)
    }
    await t.clients.reload()
    const known = await post('/login', { origin: ownOrigin(t), body: { ...credentials, client_id: clientId } })
    expect([known.statusCode, known.json().code]).toEqual([400, 'invalid_client'])
    expect((await post('/login', { origin: page, body: credentials })).statusCode).toBe(403)
    const sent = { origin: ownOrigin(t), cookies: { [clientId]: token }, body: { client_id: clientId } }
    expectRefused(await post('/refresh', sent))
    expect(refreshNames(await post('/logout', sent))).toEqual([nameOf(clientId)])
    expect(await eventsOf(t, sid)).toEqual(['session.ended client_disabled'])
  })

  test('leaves no live session to a sign-in that races it, on whichever replica', async () => {
    await using replica = await createTestApp({ join: t })
    const { clientId } = await addPublicClient(t, { type: 'native' })
    await replica.clients.reload()
    let raced = 0
    for (let round = 0; round < 8; round++) {
      const logins = [t, replica, t, replica].map((on) => on.login({ ...credentials, client_id: clientId }))
      await Promise.race(logins)
      await disableClient(t.deps, byOperator(t.deps), { id: clientId, type: 'native' })
      const codes = (await Promise.all(logins)).map(({ statusCode }) => statusCode)
      raced += codes.filter((code) => code === 400).length
      const live = await t.db
        .selectFrom('families')
        .select('id')
        .where('client_id', '=', clientId)
        .where('ended_at', 'is', null)
        .execute()
      expect(live).toEqual([])
      await setClientEnabled(t.deps, byOperator(t.deps), { id: clientId, enabled: true })
      await Promise.all([t.clients.reload(), replica.clients.reload()])
    }
    expect(raced).toBeGreaterThan(0)
  })
})

describe('what another replica was told', () => {
  test('of a client that this one does not know yet, a session of it is not refused', async () => {
    await using replica = await createTestApp({ join: t })
    await replica.clients.stop()
    const page = 'https://fresh.example'
    const { clientId } = await addPublicClient(t, { origins: [page] })
    const { token, accessToken } = await signIn(clientId, page)
    expect(replica.deps.clients.get(clientId)).toBeUndefined()
    expect((await bearer(replica, accessToken)).statusCode).toBe(200)
    const sent = { origin: ownOrigin(t), on: replica, cookies: { [clientId]: token }, body: { client_id: clientId } }
    sessionOf(await post('/refresh', sent), clientId)
  })

  test('is kept while the database is away', async () => {
    await using line = await startForwarder()
    await using cutOff = await createTestApp({ line })
    const { clientId } = await addPublicClient(cutOff)
    line.lead(undefined)
    line.cut()
    await expect(cutOff.clients.reload()).rejects.toThrow()
    expect(cutOff.deps.clients.get(clientId)).toBeDefined()
    line.lead(Number(new URL(cutOff.database.url).port))
    await cutOff.clients.reload()
    expect(cutOff.deps.clients.get(clientId)).toBeDefined()
  })
})
