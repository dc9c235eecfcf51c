import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ClavigerError, Options } from '../../sdk/server/src/index.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { addServiceClient } from '../support/clients.ts'
import { answer, type Interference, loseAnswers, only } from './browser-support.ts'
import { createSite, createVisitor, makeSecret, SITE, signUp, type TestSite, type Visitor } from './server-support.ts'

// Sessions of a site that renders on a server: against the real server, over a network that fails.

let t: TestApp
let issuer: string
let site: TestSite
let visitor: Visitor

beforeEach(async () => {
  // Without a grace, whatever is not the same exchange is theft.
  t = await createTestApp({ env: { REFRESH_GRACE_SECONDS: '0' } })
  issuer = await t.listen()
  site = createSite(issuer)
  visitor = createVisitor()
})
afterEach(async () => {
  vi.useRealTimers()
  await t[Symbol.asyncDispose]()
})

/** Everybody's clock. */
const travel = (seconds: number) => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + seconds * 1000 })
  t.travel(seconds)
}

const refreshes = () => site.network.to('/refresh').length
const outcomes = async () => {
  const { values } = await t.deps.metrics.refreshes.get()
  return Object.fromEntries(values.filter(({ value }) => value > 0).map(({ labels, value }) => [labels.outcome, value]))
}
const endSessionsOf = (userId: string) =>
  t.db
    .updateTable('families')
    .set({ ended_at: t.deps.clock(), end_cause: 'logout' })
    .where('user_id', '=', userId)
    .execute()
const liveFamilies = async () => {
  const { count } = await t.db
    .selectFrom('families')
    .where('ended_at', 'is', null)
    .select(({ fn }) => fn.countAll<string>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(count)
}

test('signed in, the site knows who asks and has a token for services; signed out, nobody has', async () => {
  expect(await site.client.read(visitor.request())).toEqual({ state: 'signed-out', user: null, accessToken: null })
  const { user, email } = await signUp(site, visitor)
  expect(user).toMatchObject({ email, roles: [] })
  const session = await site.client.read(visitor.request())
  expect(session).toMatchObject({ state: 'signed-in', user })
  const me = await t.inject({ method: 'GET', url: '/me', headers: { authorization: `Bearer ${session.accessToken}` } })
  expect(me.json()).toMatchObject({ id: user.id })
  expect(refreshes()).toBe(0)

  const { ended, setCookies } = await site.client.signOut(visitor.request())
  expect(ended).toBe(true)
  visitor.take(setCookies)
  // What is left says that somebody has signed in here before, and signs nobody in.
  expect([...visitor.cookies.keys()]).toEqual(['__Host-claviger-device'])
  expect((await site.client.read(visitor.request())).state).toBe('signed-out')
  expect(await liveFamilies()).toBe(0)
})

test('strangers who guess at an account cannot keep its owner out of a browser that signed in before', async () => {
  const { email, password } = await signUp(site, visitor)
  visitor.take((await site.client.signOut(visitor.request())).setCookies)
  const signIn = async (by: Visitor, phrase = password) => {
    try {
      by.take((await site.client.signIn({ email, password: phrase }, by.request())).setCookies)
      return 'signed in'
    } catch (error) {
      return (error as { code: string }).code
    }
  }
  for (let time = 0; time < 5; time++)
    expect(await signIn(createVisitor(), 'not the right phrase')).toBe('invalid_credentials')
  expect(await signIn(createVisitor())).toBe('too_many_requests')
  const before = visitor.cookies.get('__Host-claviger-device')
  expect(await signIn(visitor)).toBe('signed in')
  expect(visitor.cookies.get('__Host-claviger-device')?.slice(0, 20)).toBe(before?.slice(0, 20))
})

describe('the cookies', () => {
  test('are out of reach of scripts, other hosts and other sites, and hold nothing in clear text', async () => {
    const { setCookies, user } = await signUp(site, visitor)
    const attributes = 'Path=/; HttpOnly; Secure; SameSite=Lax'
    expect(setCookies).toEqual([
      expect.stringMatching(RegExp(`^__Host-claviger\\.[\\w-]{12}=[\\w-]+; ${attributes}$`)),
      expect.stringMatching(RegExp(`^__Host-claviger=[\\w-]{12}; ${attributes}$`)),
      expect.stringMatching(
        /^__Host-claviger-device=dt1_[\w-]{72}; Path=\/; Max-Age=31536000; HttpOnly; Secure; SameSite=Lax$/,
      ),
    ])
    const value = visitor.sessions()[0]?.[1] ?? ''
    const bytes = Buffer.from(value, 'base64url').toString('latin1')
    for (const secret of ['rt1_', 'RS256', user.email, user.id]) expect(value + bytes).not.toContain(secret)
  })

  test('end with the browser unless the visitor wants to be remembered', async () => {
    const { setCookies } = await signUp(site, visitor, true)
    const [session = '', pointer = ''] = setCookies
    const age = (line: string) => Number(/; Max-Age=(\d+);/.exec(line)?.[1]) / 86_400
    expect(age(session)).toBeGreaterThan(13.9)
    expect(age(session)).toBeLessThan(14.1)
    expect(age(pointer), 'as long as the session may become').toBeGreaterThan(30)
    travel(3 * 86_400)
    const { setCookies: later } = await site.client.renew(visitor.request())
    expect(age(later[0] ?? '')).toBeGreaterThan(13.9)
  })

  test('have plain names in development, one per port', async () => {
    site = createSite(issuer, { site: 'http://localhost:3000' })
    visitor = createVisitor('http://localhost:3000')
    const { setCookies } = await signUp(site, visitor)
    expect(setCookies).toEqual([
      expect.stringMatching(/^claviger-3000\.[\w-]{12}=[\w-]+; Path=\/; HttpOnly; SameSite=Lax$/),
      expect.stringMatching(/^claviger-3000=[\w-]{12}; Path=\/; HttpOnly; SameSite=Lax$/),
      expect.stringMatching(/^claviger-3000-device=dt1_[\w-]{72}; Path=\/; Max-Age=31536000; HttpOnly; SameSite=Lax$/),
    ])
    expect((await site.client.read(visitor.request())).state).toBe('signed-in')
  })

  test('of another site of the same owner, or twice the same, are worth nothing', async () => {
    await signUp(site, visitor)
    const elsewhere = site.another({ site: 'https://other.example.com' })
    expect((await elsewhere.read(visitor.request())).state).toBe('signed-out')
    const [name = '', value = ''] = visitor.sessions()[0] ?? []
    const twice = new Headers({ cookie: `${visitor.request().headers.get('cookie')}; ${name}=${value}` })
    expect((await site.client.read({ headers: twice })).state).toBe('signed-out')
  })

  test('are found in a header of many blanks as fast as in any other', async () => {
    await signUp(site, visitor)
    const header = visitor.request().headers.get('cookie')
    // Many more than a request may have: if each of them began a search to the end, it would take more than a minute.
    const long = new Headers({ cookie: `x${' \t'.repeat(250_000)}y=1; ${header}` })
    expect((await site.client.read({ headers: long })).state).toBe('signed-in')
  })

  test('of a site on another port of the same host are other ones', async () => {
    await signUp(site, visitor)
    const neighbour = createSite(issuer, { site: `${SITE}:8443` })
    const { setCookies } = await signUp(neighbour, visitor)
    expect(setCookies.filter((line) => !line.startsWith('__Host-claviger-8443'))).toEqual([])
    const { setCookies: dropped } = await neighbour.client.signOut(visitor.request())
    visitor.take(dropped)
    expect((await site.client.read(visitor.request())).state).toBe('signed-in')
  })

  test('that would be too large are not made, and the session is ended again', async () => {
    const { email, password, user } = await signUp(site, visitor)
    await site.client.signOut(visitor.request())
    const roles = Array.from({ length: 64 }, (_, index) => `a-role-with-a-long-name-${index}`)
    await t.db.updateTable('users').set({ roles }).where('id', '=', user.id).execute()
    const attempt = site.client.signIn({ email, password }, visitor.request())
    await expect(attempt).rejects.toMatchObject({ code: 'cookie_too_large', message: expect.stringContaining('4096') })
    expect(await liveFamilies()).toBe(0)
  })
})

describe('a refresh', () => {
  test('comes ahead of expiry, and the page that is rendered meanwhile has the new token already', async () => {
    await signUp(site, visitor)
    travel(470)
    expect((await site.client.renew(visitor.request())).setCookies).toEqual([])
    const before = await site.client.read(visitor.request())
    travel(20)
    const request = visitor.request()
    const { session, setCookies, cookieHeader } = await site.client.renew(request)
    expect(session).toMatchObject({ state: 'signed-in', user: before.user })
    expect(session.accessToken).not.toBe(before.accessToken)
    expect(setCookies).toHaveLength(1)
    expect(await site.client.read({ headers: new Headers({ cookie: cookieHeader }) })).toEqual(session)
    visitor.take(setCookies)
    expect(await site.client.read(visitor.request())).toEqual(session)
    expect(visitor.sessions(), 'in the place of the old one').toHaveLength(1)
  })

  test('is one for parallel requests, and for those that were under way with the old cookie', async () => {
    await signUp(site, visitor)
    travel(500)
    const old = visitor.request()
    const all = await atOnce(20, () => site.client.renew(visitor.request()))
    visitor.take(all[3]?.setCookies ?? [])
    all.push(await site.client.renew(old), await site.client.renew(visitor.request()))
    expect(new Set(all.map(({ session }) => session.accessToken)).size).toBe(1)
    expect(new Set(all.map(({ session }) => session.state))).toEqual(new Set(['signed-in']))
    expect(refreshes()).toBe(1)
    expect(await outcomes()).toEqual({ rotated: 1 })
  })

  test('is one exchange for two processes, also where one of them asks much later', async () => {
    await signUp(site, visitor)
    const other = site.another()
    travel(500)
    const [old, older] = [visitor.request(), visitor.request()]
    const both = await Promise.all([site.client.renew(visitor.request()), other.renew(visitor.request())])
    expect(both.map(({ session }) => session.state)).toEqual(['signed-in', 'signed-in'])
    visitor.take(both[0].setCookies)
    travel(300)
    expect((await site.another().renew(old)).session.state).toBe('signed-in')
    expect(await outcomes()).toEqual({ rotated: 1, retry: 2 })
    // Whichever cookie the browser has kept, it goes on.
    travel(200)
    visitor.take((await site.another().renew(visitor.request())).setCookies)
    expect((await site.client.read(visitor.request())).state).toBe('signed-in')
    expect(await liveFamilies()).toBe(1)
    expect((await site.another().renew(older)).session.state, 'older than the one before: theft').toBe('signed-out')
  })

  test('is the same exchange for processes that know a new secret already and those that do not', async () => {
    await signUp(site, visitor)
    const { secret } = site.options
    const rolledOut = site.another({ secret: ['QmV0d2VlbiB0d28gc2VjcmV0cywgYSBzaXRlIGdvZXMgb24h', String(secret)] })
    travel(500)
    const before = visitor.request()
    visitor.take((await rolledOut.renew(before)).setCookies)
    travel(60)
    const late = await site.client.renew(before)
    expect(late.session.state).toBe('signed-in')
    const keys = site.network.to('/refresh').map(({ headers }) => headers.get('idempotency-key'))
    expect(new Set(keys).size).toBe(1)
    expect(keys[0]).toMatch(/^[\w-]{43}$/)
    expect((await rolledOut.read(visitor.request())).state).toBe('signed-in')
  })

  test('goes on in all processes while the secret is changed, which takes two deployments', async () => {
    await signUp(site, visitor)
    const [old, next] = [String(site.options.secret), makeSecret()]
    const steps = [[old], [old, next], [next, old]]
    for (const [index, step] of steps.entries()) {
      travel(500)
      visitor.take((await site.another({ secret: step }).renew(visitor.request())).setCookies)
      for (const other of steps.slice(Math.max(0, index - 1), index + 2))
        expect((await site.another({ secret: other }).read(visitor.request())).state).toBe('signed-in')
    }
    expect((await site.client.read(visitor.request())).state, 'control: in one step').toBe('signed-out')
  })

  test('whose answer was lost is repeated at once', async () => {
    await signUp(site, visitor)
    travel(700)
    let lost = 0
    site.network.interfere = only('/refresh', (...args) => (lost++ === 0 ? loseAnswers(...args) : undefined))
    const { session } = await site.client.renew(visitor.request())
    expect(session.state).toBe('signed-in')
    expect(await outcomes()).toEqual({ rotated: 1, retry: 1 })
  })

  test('whose answer was lost with the process is repeated an hour later', async () => {
    await signUp(site, visitor)
    travel(500)
    site.network.interfere = only('/refresh', loseAnswers)
    await site.client.renew(visitor.request())
    site.network.interfere = undefined
    travel(3600)
    const restarted = site.another()
    const { session, setCookies } = await restarted.renew(visitor.request())
    expect(session.state).toBe('signed-in')
    visitor.take(setCookies)
    travel(500)
    expect((await restarted.renew(visitor.request())).session.state).toBe('signed-in')
  })
})

describe('while the issuer is out of reach', () => {
  test('a page is rendered although the cookie has no room to spare', async () => {
    const { email, password } = await signUp(site, visitor)
    const padded =
      (letters: number): Interference =>
      async (_sent, forward) => {
        const reply = (await (await forward()).json()) as { user: { email: string } }
        reply.user.email += 'x'.repeat(letters)
        return Response.json(reply)
      }
    const signIn = async (letters: number) => {
      site.network.interfere = only('/login', padded(letters))
      return (await site.client.signIn({ email, password }, visitor.request())).setCookies
    }
    const room = (lines: string[]) => 4096 - Math.max(...lines.map(({ length }) => length))
    const setCookies = await signIn(Math.floor((room(await signIn(0)) * 3) / 4) - 4)
    expect(room(setCookies)).toBeLessThan(12)
    visitor.take(setCookies)
    site.network.interfere = only('/refresh', answer(503, { code: 'unavailable' }))
    travel(500)
    const { session, cookieHeader } = await site.client.renew(visitor.request())
    expect(session.state).toBe('unreachable')
    expect(await site.client.read({ headers: new Headers({ cookie: cookieHeader }) })).toEqual(session)
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('no log')
      },
    ],
    ['rejects', async () => Promise.reject(new Error('no log'))],
  ])('a log that %s costs no page', async (_how, onError) => {
    site = createSite(issuer, { onError })
    await signUp(site, visitor)
    site.network.interfere = only('/refresh', answer(503, { code: 'unavailable' }))
    travel(500)
    expect((await site.client.renew(visitor.request())).session.state).toBe('unreachable')
  })

  test('pages have the old token as long as it is valid, then none, and the session goes on afterwards', async () => {
    const errors: unknown[] = []
    site = createSite(issuer, { onError: ({ code }) => errors.push(code) })
    const { user } = await signUp(site, visitor)
    site.network.interfere = only('/refresh', async () => Promise.reject(new TypeError('refused')))
    travel(500)
    const { accessToken } = await site.client.read(visitor.request())
    const ahead = await site.client.renew(visitor.request())
    expect(ahead).toMatchObject({ session: { state: 'unreachable', user, accessToken }, setCookies: [] })
    const rendered = { headers: new Headers({ cookie: ahead.cookieHeader }) }
    expect(await site.client.read(rendered), 'what renders the page knows it, too').toEqual(ahead.session)
    travel(200)
    const { session, setCookies } = await site.another().renew(visitor.request())
    expect(session).toEqual({ state: 'unreachable', user, accessToken: null })
    expect(setCookies).toEqual([])
    expect(errors).toContain('network')
    site.network.interfere = undefined
    expect((await site.another().renew(visitor.request())).session).toMatchObject({ state: 'signed-in', user })
  })

  test.each([
    [503, { code: 'unavailable' }],
    [429, { code: 'too_many_requests' }],
    [401, { error: 'a proxy of somebody wants a password' }],
    [502, '<html>Bad Gateway</html>'],
    [200, '<html>Sign in to this network</html>'],
    [200, { ok: true }],
  ])('an answer %i %j ends no session', async (status, body) => {
    await signUp(site, visitor)
    travel(700)
    site.network.interfere = only('/refresh', answer(status, body))
    const { session, setCookies } = await site.client.renew(visitor.request())
    expect(session.state).toBe('unreachable')
    expect(setCookies).toEqual([])
    site.network.interfere = undefined
    expect((await site.another().renew(visitor.request())).session.state).toBe('signed-in')
  })

  test('it is not asked again before it wants to be', async () => {
    await signUp(site, visitor)
    travel(700)
    site.network.interfere = only('/refresh', answer(503, { code: 'unavailable' }, { 'retry-after': '30' }))
    for (let count = 0; count < 5; count++) await site.client.renew(visitor.request())
    expect(refreshes()).toBe(1)
  })

  test('a sign-out is one here, and says that the issuer does not know', async () => {
    await signUp(site, visitor)
    site.network.interfere = only('/logout', async () => Promise.reject(new TypeError('refused')))
    const { ended, setCookies } = await site.client.signOut(visitor.request())
    expect(ended).toBe(false)
    visitor.take(setCookies)
    expect([...visitor.cookies.keys()]).toEqual(['__Host-claviger-device'])
  })
})

describe('an answer that comes late', () => {
  test('a session that has ended is forgotten', async () => {
    const { user } = await signUp(site, visitor)
    await endSessionsOf(user.id)
    travel(500)
    const { session, setCookies, cookieHeader } = await site.client.renew(visitor.request())
    expect(session.state).toBe('signed-out')
    expect((await site.client.read({ headers: new Headers({ cookie: cookieHeader }) })).state).toBe('signed-out')
    await site.client.renew(visitor.request())
    expect(refreshes(), 'a browser that keeps the cookie all the same costs nothing').toBe(1)
    visitor.take(setCookies)
    expect(visitor.sessions()).toEqual([])
  })

  test('a refusal does not sign out who has signed in again meanwhile', async () => {
    const { user, email, password } = await signUp(site, visitor)
    await endSessionsOf(user.id)
    travel(500)
    const late = await site.client.renew(visitor.request())
    visitor.take((await site.client.signIn({ email, password }, visitor.request())).setCookies)
    visitor.take(late.setCookies)
    expect(await site.client.read(visitor.request())).toMatchObject({ state: 'signed-in', user })
  })

  test('a refresh does not bring back whom somebody else has taken over from', async () => {
    const first = await signUp(site, visitor)
    travel(500)
    const late = await site.client.renew(visitor.request())
    const second = await signUp(site, visitor)
    expect(await liveFamilies(), 'a sign-in ends the session before').toBe(1)
    visitor.take(late.setCookies)
    expect(second.user.id).not.toBe(first.user.id)
    expect(await site.client.read(visitor.request())).toMatchObject({ state: 'signed-in', user: second.user })
    travel(500)
    expect((await site.client.renew(visitor.request())).session).toMatchObject({
      state: 'signed-in',
      user: second.user,
    })
    visitor.take((await site.client.signOut(visitor.request())).setCookies)
    expect([...visitor.cookies.keys()], 'what had come late goes with the rest').toEqual(['__Host-claviger-device'])
  })

  test('a refresh does not bring back who has signed out', async () => {
    await signUp(site, visitor)
    travel(500)
    const late = await site.client.renew(visitor.request())
    visitor.take((await site.client.signOut(visitor.request())).setCookies)
    visitor.take(late.setCookies)
    expect((await site.client.read(visitor.request())).state).toBe('signed-out')
    expect((await site.client.renew(visitor.request())).session.state).toBe('signed-out')
  })
})

describe('what the issuer is told of the visitor', () => {
  const seen = async () =>
    t.db
      .selectFrom('families')
      .select(['address', 'user_agent'])
      .orderBy('created_at', 'desc')
      .executeTakeFirstOrThrow()

  test('the browser, and no address unless the site says where it stands', async () => {
    visitor.request = () =>
      new Request(SITE, { headers: { 'user-agent': 'Their Browser', 'x-forwarded-for': '192.0.2.7' } })
    await signUp(site, visitor)
    expect(site.network.sent.map(({ headers }) => headers.get('x-forwarded-for'))).toEqual([null, null])
    expect(await seen()).toEqual({ address: '127.0.0.1', user_agent: 'Their Browser' })
  })

  test('the address, where the issuer trusts the site; what is no address is left out', async () => {
    await t[Symbol.asyncDispose]()
    t = await createTestApp({ env: { TRUSTED_PROXIES: '127.0.0.1' } })
    site = createSite(await t.listen(), { clientAddress: ({ headers }) => headers.get('x-real-ip') })
    const from = (address: string) => () => new Request(SITE, { headers: { 'x-real-ip': address } })
    visitor.request = from('192.0.2.7')
    await signUp(site, visitor)
    expect((await seen()).address).toBe('192.0.2.7')
    for (const wrong of ['10.0.0.1, 192.0.2.7', 'unknown', 'a'.repeat(60)]) {
      visitor.request = from(wrong)
      await signUp(site, visitor)
      expect((await seen()).address, wrong).toBe('127.0.0.1')
    }
  })
})

describe('a site with a client of its own', () => {
  const clientAddress: Options['clientAddress'] = ({ headers }) => headers.get('x-real-ip')
  const from = (address: string) => () => new Request(SITE, { headers: { 'x-real-ip': address } })
  const registered = async () => {
    const { clientId: id, secret } = await addServiceClient(t, { statesVisitorAddress: true })
    return { id, secret }
  }
  const seen = async () => {
    const row = t.db.selectFrom('families').select('address').orderBy('created_at', 'desc')
    return (await row.executeTakeFirstOrThrow()).address
  }

  test('is believed about addresses from wherever it calls, and states nothing that is none', async () => {
    site = createSite(issuer, { client: await registered(), clientAddress })
    for (const [written, stated] of [
      ['192.0.2.7', '192.0.2.7'],
      ['192.0.2.8:55001', '192.0.2.8'],
      ['2001:db8::9', '2001:db8::9'],
      ['[2001:db8::a]:55001', '2001:db8::a'],
      ['fe80::1%eth0', 'fe80::1'],
      ['::ffff:192.0.2.11', '192.0.2.11'],
      ['10.0.0.1, 192.0.2.7', '127.0.0.1'],
      ['192.0.2.256', '127.0.0.1'],
      ['192.0.2.07', '127.0.0.1'],
      ['2001:db8:::1', '127.0.0.1'],
      ['unknown', '127.0.0.1'],
      ['', '127.0.0.1'],
    ] as const) {
      visitor = createVisitor()
      visitor.request = from(written)
      await signUp(site, visitor)
      expect(await seen(), written).toBe(stated)
    }
  })

  test('has a visitor who guesses held off alone', async () => {
    await using limited = await createTestApp({ join: t, env: { RATE_LIMIT_LOGIN_PER_MINUTE: '2' } })
    site = createSite(await limited.listen(), { client: await registered(), clientAddress })
    const guess = async (address: string) => {
      const request = from(address)()
      const credentials = { email: `user-${crypto.randomUUID()}@example.com`, password: 'not the right phrase' }
      return await site.client.signIn(credentials, request).catch(({ code }: ClavigerError) => code)
    }
    const wrong = 'invalid_credentials'
    expect([await guess('192.0.2.1'), await guess('192.0.2.1')]).toEqual([wrong, wrong])
    expect([await guess('192.0.2.1'), await guess('192.0.2.2')]).toEqual(['too_many_requests', wrong])
  })

  test('refreshes and signs out as its visitor', async () => {
    site = createSite(issuer, { client: await registered(), clientAddress })
    await signUp(site, visitor)
    const request = visitor.request
    visitor.request = (path, init) => request(path, { ...init, headers: { 'x-real-ip': '192.0.2.7' } })
    travel(580)
    visitor.take((await site.client.renew(visitor.request())).setCookies)
    expect((await site.client.signOut(visitor.request())).ended).toBe(true)
    const lines = t.logs.filter(({ route }) => route === '/refresh' || route === '/logout')
    expect(lines.map(({ route, address, status }) => [route, address, status])).toEqual([
      ['/refresh', '192.0.2.7', 200],
      ['/logout', '192.0.2.7', 204],
    ])
  })

  test('whose secret is wrong signs nobody out, and its log hears of it', async () => {
    await signUp(site, visitor)
    const heard: string[] = []
    const { id } = await registered()
    const client = site.another({
      client: { id, secret: 'wrong' },
      clientAddress: () => '192.0.2.7',
      onError: ({ code }) => heard.push(code),
    })
    travel(580)
    const { session, setCookies } = await client.renew(visitor.request())
    expect([session.state, setCookies, heard]).toEqual(['unreachable', [], ['invalid_client']])
    expect(session.accessToken, 'for as long as it is valid').not.toBeNull()
    const { email, password } = { email: 'ada@example.com', password: 'not the right phrase' }
    await expect(client.signIn({ email, password }, visitor.request())).rejects.toMatchObject({
      code: 'invalid_client',
    })
  })
})

describe('options', () => {
  test.each([
    [{ issuer: 'auth.example.com' }, 'issuer must be a whole URL'],
    [{ issuer: 'http://auth.example.com' }, 'issuer must be https, or http on this machine'],
    [{ site: 'http://shop.example.com' }, 'site must be https, or http on this machine'],
    [{ site: 'https://shop.example.com/path' }, 'site must be an origin'],
    [{ secret: 'short' }, 'secret must be 32 random bytes'],
    [{ cookie: 'a b' }, 'cookie must be'],
    [{ path: 'auth' }, 'path must be'],
    [{ client: { id: 'cl_a', secret: 'b' } }, 'client is of no use without clientAddress'],
  ])('%j are refused', (changes, message) => {
    expect(() => site.another(changes)).toThrow(TypeError)
    expect(() => site.another(changes)).toThrow(message)
  })

  test.each(['issuer', 'site', 'secret'])(
    'without %s a site can be built, and says at the first use what is missing',
    async (name) => {
      const client = site.another({ [name]: undefined })
      await expect(client.read(visitor.request())).rejects.toThrow(`${name} is missing`)
    },
  )

  test.each([
    { id: undefined, secret: 'b' },
    { id: 'cl_a', secret: undefined },
  ])('with half a client (%j) too', async (half) => {
    const client = site.another({ client: half, clientAddress: () => undefined })
    await expect(client.read(visitor.request())).rejects.toThrow('client has no id or no secret')
  })
})
