import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createTestApp, type SignedUp, type TestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import type { Middleman } from '../support/middleman.ts'
import { page } from './gateway-files.ts'
import { type Issuer, kinds, SECONDS, startGateway, startTlsFront } from './gateways.ts'
import { findTool } from './tools.ts'

// docs/gateways.md: each of its files as the gateway of a service, asking a real server.

test('every file of the page is run', () => {
  const run = Object.values(kinds).flatMap(({ paths }) => paths)
  expect([...page.keys()].toSorted()).toEqual(run.toSorted())
})

let t: TestApp
let issuer: Issuer
let client: { clientId: string; secret: string }
let service: Awaited<ReturnType<typeof startService>>

beforeAll(async () => {
  t = await createTestApp({ env: { AUDIENCE: 'orders,stock' } })
  issuer = await startTlsFront(Number(new URL(await t.listen()).port))
  client = await addServiceClient(t, { audiences: ['orders'] })
  service = await startService()
})
afterAll(async () => {
  await service?.[Symbol.asyncDispose]()
  await issuer?.[Symbol.asyncDispose]()
  await t?.[Symbol.asyncDispose]()
})

/** Says what it was sent. */
async function startService(): Promise<AsyncDisposable & { address: string }> {
  const server = createServer((asked, answer) => {
    answer.writeHead(asked.url === '/forbidden' ? 403 : 200).end(JSON.stringify(asked.headers))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

const programs = Object.entries(kinds).map(([name, kind]) => {
  const isWhole = kind.needs === undefined || existsSync(kind.needs)
  return { name, kind, program: isWhole ? (findTool(kind.program) ?? '') : '' }
})

describe.each(programs.filter(({ program }) => program))('$name', ({ kind, program }) => {
  let gateway: Middleman
  let user: SignedUp
  beforeAll(async () => {
    gateway = await startGateway(kind, { program, issuer, client, service: service.address })
    user = await t.signUp()
  })
  afterAll(() => gateway?.close())

  interface Call {
    method?: string
    path?: string
    headers?: Record<string, string | string[]>
    to?: Middleman
  }

  async function ask(token: string | undefined, { method = 'GET', path = '/', headers = {}, to = gateway }: Call = {}) {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const all = { connection: 'close', ...authorization, ...headers }
    const asked = request({ host: '127.0.0.1', port: to.port, path, method, headers: all, agent: false }).end()
    const [answer] = await once(asked, 'response')
    let text = ''
    for await (const chunk of answer) text += chunk
    const reached = text.startsWith('{')
    return { status: answer.statusCode, headers: answer.headers, reached, sent: reached ? JSON.parse(text) : undefined }
  }
  const statusOf = async (token?: string, call?: Call) => (await ask(token, call)).status
  const questions = () => t.logs.filter(({ route }) => route === '/oauth/introspect').length
  const signIn = async (more: object = {}) =>
    (await t.login({ email: user.email, password: user.password, ...more })).json<{
      access_token: string
      refresh_token: string
    }>()
  const signOut = ({ refresh_token }: { refresh_token: string }) =>
    t.inject({
      method: 'POST',
      url: '/logout',
      headers: { 'content-type': 'application/json' },
      payload: JSON.stringify({ refresh_token }),
    })

  test('lets a live token pass, and tells the service whose it is', async () => {
    const { status, sent } = await ask(user.accessToken)
    expect([status, sent['x-subject'], sent['x-scope']]).toEqual([200, user.userId, 'account'])
  })

  test('believes nothing that the client says in its place', async () => {
    const names = ['X-Subject', 'x-subject', 'X_Subject', 'X-Scope', 'X_SCOPE', 'Claviger-Subject', 'X-Forwarded-User']
    const headers = Object.fromEntries(names.map((name) => [name, 'admin']))
    const { sent } = await ask(user.accessToken, { headers })
    const told = Object.entries(sent).filter(([name]) => /^x[-_](subject|scope)$/.test(name))
    expect(Object.fromEntries(told)).toEqual({ 'x-subject': user.userId, 'x-scope': 'account' })
  })

  test('answers 401 with a challenge to whatever is no live token for this service, and does not ask it', async () => {
    const ended = await signIn()
    await signOut(ended)
    const bad: [string, string | undefined, Call?][] = [
      ['no token', undefined],
      ['no token, and a name', undefined, { headers: { 'x-subject': 'admin' } }],
      ['ended', ended.access_token],
      ['for another audience', (await signIn({ audience: 'stock' })).access_token],
      ['a refresh token', user.refreshToken],
      ['cut off', user.accessToken.slice(0, -4)],
      ['with another signature', `${user.accessToken.slice(0, -4)}AAAA`],
      ['in the query', undefined, { path: `/?access_token=${user.accessToken}` }],
      ['another scheme', undefined, { headers: { authorization: `Basic ${user.accessToken}` } }],
      ['a parameter behind it', `${user.accessToken}&token=${user.accessToken}`],
      ['nothing', ''],
    ]
    for (const [name, token, call] of bad) {
      const { status, headers, reached } = await ask(token, call)
      expect([name, status, reached]).toEqual([name, 401, false])
      expect(headers['www-authenticate'], name).toMatch(/^Bearer\b/)
    }
  })

  test('lets nothing pass that comes with two tokens, or with none by another method', async () => {
    const two = { headers: { authorization: [`Bearer ${user.accessToken}`, 'Bearer other'] } }
    const other = { headers: { authorization: ['Bearer other', `Bearer ${user.accessToken}`] } }
    const odd = [await ask(undefined, two), await ask(undefined, other)]
    for (const method of ['OPTIONS', 'POST', 'HEAD', 'TRACE', 'PROPFIND'])
      odd.push(await ask(undefined, { method, headers: { 'x-subject': 'admin' } }))
    expect(odd.filter(({ status, reached }) => reached || status < 400)).toEqual([])
  })

  test('asks once, for as long as it may keep the answer, and never lets one token’s answer count for another', async () => {
    const [mine, theirs] = [await signIn(), await t.signUp()]
    const before = questions()
    for (let time = 0; time < 5; time++) expect(await statusOf(mine.access_token)).toBe(200)
    const asked = questions() - before
    expect(asked).toBeGreaterThan(0)
    expect(asked, 'five requests, in the seconds that they take').toBeLessThan(4)
    expect((await ask(theirs.accessToken)).sent['x-subject']).toBe(theirs.userId)
    expect(await statusOf(`${mine.access_token.slice(0, -4)}AAAA`)).toBe(401)
  })

  test('sees a logout at once where the token is not in its cache, and within its time where it is', async () => {
    const [seen, unseen] = [await signIn(), await signIn()]
    expect(await statusOf(seen.access_token)).toBe(200)
    await Promise.all([signOut(seen), signOut(unseen)])
    expect(await statusOf(unseen.access_token)).toBe(401)
    await expect
      .poll(() => statusOf(seen.access_token), { timeout: (SECONDS + 1) * 1000 + 500, interval: 50 })
      .toBe(401)
    expect(await statusOf(user.accessToken), 'others go on').toBe(200)
  })

  test('lets nobody in while the issuer is away, once its cache is old, and goes on when it is back', async () => {
    const [seen, unseen] = [await signIn(), await signIn()]
    expect(await statusOf(seen.access_token)).toBe(200)
    issuer.leave()
    try {
      const { status, headers, reached } = await ask(unseen.access_token)
      expect([status, reached]).toEqual([kind.away, false])
      expect(headers['retry-after']).toBe(kind.away === 503 ? '1' : undefined)
      await expect
        .poll(() => statusOf(seen.access_token), { timeout: (SECONDS + 1) * 1000 + 500, interval: 50 })
        .toBe(kind.away)
    } finally {
      issuer.comeBack()
    }
    await vi.waitFor(async () => expect(await statusOf(unseen.access_token)).toBe(200), 5000)
  })

  test('lets nobody in with credentials that the issuer does not know', async () => {
    const unknown = { ...client, secret: `${client.secret.slice(0, -4)}AAAA` }
    const another = await startGateway(kind, { program, issuer, client: unknown, service: service.address })
    try {
      const { status, headers, reached } = await ask(user.accessToken, { to: another })
      expect([status, reached]).toEqual([kind.away, false])
      expect(headers['www-authenticate'] ?? '', 'no browser asks its user for a password').not.toMatch(/basic/i)
    } finally {
      await another.close()
    }
  })

  test('passes on what the service itself refuses', async () => {
    expect(await ask(user.accessToken, { path: '/forbidden' })).toMatchObject({ status: 403, reached: true })
  })
})
