import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { noteSecret } from '../support/canary.ts'
import { hasProc } from '../support/child-processes.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { type RunningProcess, startServer } from '../support/server.ts'
import { HOST, kinds, type Proxy, startProxy } from './proxies.ts'
import { comeOneByOne } from './streams.ts'
import { findTool } from './tools.ts'
import { createVisitor, listen, type Protocol, visitPlain } from './visitor.ts'

const APP = 'https://app.example.com'
const COOKIE = '__Host-refresh_token'
const LOGINS_PER_MINUTE = 4

const programs = Object.entries(kinds).map(([name, kind]) => ({ name, kind, program: findTool(kind.program) ?? '' }))

/** Elsewhere than on Linux the loopback network has one address. */
describe.skipIf(!hasProc).each(programs.filter(({ program }) => program))(
  'behind $name, with its file (needs Linux)',
  ({ kind, program }) => {
    let database: TestDatabase
    let server: RunningProcess
    let proxy: Proxy
    const email = `user-${randomUUID()}@example.com`
    const password = `a phrase of ${randomUUID()}`
    noteSecret(password)

    beforeAll(async () => {
      database = await cloneDatabase()
      server = await startServer({
        databaseUrl: database.url,
        env: {
          NODE_ENV: 'production',
          ISSUER: `https://${HOST}`,
          CLAVIGER_SECRET: randomBytes(32).toString('base64'),
          ALLOWED_ORIGINS: APP,
          ALLOWED_HOSTS: HOST,
          TRUSTED_PROXIES: '127.0.0.1',
          RATE_LIMIT_LOGIN_PER_MINUTE: String(LOGINS_PER_MINUTE),
        },
      })
      proxy = await startProxy(kind, { program, server: server.url.replace('http://', '') })
      const visit = createVisitor(proxy, '127.0.0.9')
      // Traefik opens its ports before it has read where requests go.
      await vi.waitFor(async () => expect(await visit('/readyz')).toMatchObject({ status: 200 }), 10_000)
      expect(await visit('/register', { body: { email, password } })).toMatchObject({ status: 201 })
    })

    afterAll(async () => {
      await proxy?.[Symbol.asyncDispose]()
      await server?.kill()
      await database?.drop()
    })

    /** What the server has logged of an address. Its lines come after its replies. */
    const linesOf = (address: string) =>
      server
        .output()
        .split('\n')
        .filter((line) => line.includes(`"address":"${address}"`))
        .map((line) => JSON.parse(line) as { route: string; status: number; reason?: string })

    test.each<Protocol>(['HTTP/2', 'HTTP/1.1'])(
      'a page signs in, refreshes and signs out over %s',
      async (protocol) => {
        const visit = createVisitor(proxy, '127.0.0.2', protocol)
        const login = await visit('/login', { headers: { origin: APP }, body: { email, password } })
        expect(login.status, login.body).toBe(200)
        const cookieOf = ({ headers }: typeof login) =>
          [headers['set-cookie'] ?? []].flat().find((each) => each.startsWith(`${COOKIE}=`)) ?? ''
        expect(cookieOf(login)).toMatch(/^__Host-refresh_token=rt1_[\w-]+; Path=\/; HttpOnly; Secure; SameSite=Strict$/)
        const [cookie = ''] = cookieOf(login).split(';')
        const refresh = await visit('/refresh', { method: 'POST', headers: { origin: APP, cookie } })
        expect(refresh.status, refresh.body).toBe(200)
        expect(refresh.headers['access-control-allow-origin']).toBe(APP)
        expect(refresh.headers['strict-transport-security']).toContain('max-age=')
        const [next = ''] = cookieOf(refresh).split(';')
        expect(next).toMatch(RegExp(`^${COOKIE}=rt1_`))
        expect(next).not.toBe(cookie)
        const { access_token: token } = JSON.parse(refresh.body) as { access_token: string }
        expect((await visit('/me', { headers: { authorization: `Bearer ${token}` } })).status).toBe(200)
        const logout = await visit('/logout', { method: 'POST', headers: { origin: APP, cookie: next } })
        expect([logout.status, cookieOf(logout)]).toEqual([204, expect.stringContaining('Max-Age=0')])
      },
    )

    test.each<Protocol>(['HTTP/2', 'HTTP/1.1'])(
      'what a client says of itself does not count over %s',
      async (protocol) => {
        const forged = {
          'x-forwarded-for': '203.0.113.9',
          'x-forwarded-proto': 'http',
          'x-real-ip': '203.0.113.9',
          forwarded: 'for=203.0.113.9;proto=http',
          'x-request-id': `forged-${randomUUID()}`,
        }
        const address = protocol === 'HTTP/2' ? '127.0.0.3' : '127.0.0.13'
        const answer = await createVisitor(proxy, address, protocol)('/me', { headers: forged })
        // 403 tls_required, if X-Forwarded-Proto counted.
        expect(answer.status, answer.body).toBe(401)
        await expect.poll(() => linesOf(address)).toMatchObject([{ route: '/me', status: 401 }])
        expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{32,36}$/)
        expect(server.output()).not.toContain(forged['x-request-id'])
      },
    )

    test('the limit of an address is that of the client, whatever it says', async () => {
      const wrong = { email: `nobody-${randomUUID()}@example.com`, password: 'not this one' }
      const attempt = (address: string) =>
        createVisitor(proxy, address)('/login', {
          body: wrong,
          headers: { 'x-forwarded-for': `203.0.113.${Math.floor(Math.random() * 250)}` },
        })
      const statuses: number[] = []
      for (let i = 0; i <= LOGINS_PER_MINUTE; i++) statuses.push((await attempt('127.0.0.4')).status)
      expect(statuses).toEqual([...Array<number>(LOGINS_PER_MINUTE).fill(401), 429])
      await expect.poll(() => linesOf('127.0.0.4').at(-1)?.reason).toBe('login_per_minute')
      expect((await attempt('127.0.0.5')).status).toBe(401)
    })

    test('the stream of revocations comes through as it is written', async () => {
      await using listener = await listen(proxy, '127.0.0.14', '/.well-known/revocations/stream')
      const { pieces } = listener
      await comeOneByOne(pieces)
      const visit = createVisitor(proxy, '127.0.0.14')
      const login = await visit('/login', { body: { email, password, client_id: 'native' } })
      const { refresh_token } = JSON.parse(login.body) as { refresh_token: string }
      expect((await visit('/logout', { body: { refresh_token } })).status).toBe(204)
      await expect.poll(() => pieces.join(''), { timeout: 1500 }).toContain('event: revocation')
    })

    test('nothing internal can be reached', async () => {
      const visit = createVisitor(proxy, '127.0.0.6')
      for (const path of ['/metrics', '//metrics', '/./metrics', '/%6detrics', '/livez/../metrics']) {
        const { status, body } = await visit(path)
        expect([path, status]).toEqual([path, 404])
        expect(body).not.toContain('claviger_')
      }
      expect(await (await fetch(`${server.metricsUrl}/metrics`)).text()).toContain('claviger_')
    })

    test('what is too long is refused by the server, in words', async () => {
      const visit = createVisitor(proxy, '127.0.0.7')
      const { status, body } = await visit('/login', { body: { email, password: 'x'.repeat(20_000) } })
      expect([status, JSON.parse(body).code]).toEqual([413, 'payload_too_large'])
      const longer = await visit('/login', { body: { email, password: 'x'.repeat(200_000) } })
      expect(longer.status).toBe(413)
    })

    test('without TLS pages are led on, and what may hold a password is not', async () => {
      const page = await visitPlain(proxy, '127.0.0.10', 'GET', '/docs?theme=dark')
      expect(page.status).toBe(301)
      expect(String(page.headers.location).replace(`:${proxy.port}`, '')).toBe(`https://${HOST}/docs?theme=dark`)
      const { status } = await visitPlain(proxy, '127.0.0.10', 'POST', '/login')
      expect([403, 404]).toContain(status)
      expect(linesOf('127.0.0.10')).toEqual([])
    })

    test('its logs hold the requests, and no secret that somebody put into a query or a header', async () => {
      const visit = createVisitor(proxy, '127.0.0.8')
      const [query, header, cookie] = [randomUUID(), randomUUID(), randomUUID()]
      const headers = { authorization: `Bearer ${header}`, cookie: `${COOKIE}=${cookie}`, 'x-other': header }
      expect((await visit(`/me?token=${query}`, { headers })).status).toBe(400)
      const plain = await visitPlain(proxy, '127.0.0.8', 'GET', `/me?token=${query}`)
      expect(plain.status).toBe(301)
      await server.kill()
      // A proxy has more to say when nobody answers it.
      expect([502, 503, 504]).toContain((await visit(`/me?token=${query}`, { headers })).status)
      await expect.poll(() => proxy.logged(), { timeout: 5000 }).toMatch(/\b50[234]\b/)
      expect(proxy.logged()).toContain('127.0.0.8')
      for (const secret of [query, header, cookie]) expect(proxy.logged()).not.toContain(secret)
    })
  },
)
