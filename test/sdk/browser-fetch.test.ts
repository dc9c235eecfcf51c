import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { TestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import {
  answer,
  createDevice,
  type Device,
  loseAnswers,
  only,
  shorten,
  signUp,
  startIssuer,
} from './browser-support.ts'

// `fetch` of the browser package, when it refreshes, and how it behaves towards an issuer in trouble.

interface Service {
  url: string
  requests: { authorization: string | undefined; body: string; path: string }[]
  /** Access tokens that it refuses. */
  refuses: (token: string | undefined) => boolean
  server: Server
}

let t: TestApp
let issuer: string
let services: Service[]

beforeEach(async () => {
  ;({ t, issuer } = await startIssuer())
  services = []
})
afterEach(async () => {
  vi.restoreAllMocks()
  for (const { server } of services) server.close().closeAllConnections()
  await t[Symbol.asyncDispose]()
})

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}

/** A service that wants a token, on an origin of its own. */
async function createService(): Promise<Service> {
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const { authorization } = request.headers
    service.requests.push({ authorization, body: await textOf(request), path: request.url ?? '' })
    if (request.url === '/redirect') response.writeHead(302, { location: `${service.url}/target` }).end()
    else response.writeHead(service.refuses(authorization?.slice(7)) ? 401 : 200).end('{}')
  }
  const server = createServer((request, response) => void serve(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const service: Service = {
    server,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    refuses: (token) => token === undefined,
  }
  services.push(service)
  return service
}

async function signedIn(resources: string[] = []): Promise<Device> {
  const device = createDevice(issuer, { resources })
  await signUp(device)
  return device
}

const refreshes = (device: Device) => device.network.to('/refresh').length
const keysOf = (device: Device) =>
  new Set(device.network.to('/refresh').map((sent) => sent.headers.get('idempotency-key')))

describe('fetch', () => {
  test('gives the token to the issuer and to resources, and to nobody else', async () => {
    const [orders, foreign] = [await createService(), await createService()]
    const { client } = await signedIn([`${orders.url}/api/`])
    await client.fetch(`${orders.url}/any/path`)
    await client.fetch(new URL(orders.url))
    await client.fetch(new Request(orders.url, { headers: { 'x-own': '1' } }))
    await client.fetch(foreign.url)
    await client.fetch(new Request(foreign.url))
    // The same host by another name, and a name that begins like a trusted one.
    await client.fetch(orders.url.replace('127.0.0.1', 'localhost')).catch(() => {})
    await client
      .fetch(`http://127.0.0.1:${new URL(orders.url).port}@127.0.0.1:${new URL(foreign.url).port}/`)
      .catch(() => {})
    const token = `Bearer ${await client.getAccessToken()}`
    expect(orders.requests.map(({ authorization }) => authorization)).toEqual([
      token,
      token,
      token,
      ...orders.requests.slice(3).map(() => undefined),
    ])
    expect(foreign.requests.length).toBeGreaterThanOrEqual(2)
    expect(foreign.requests.filter(({ authorization }) => authorization)).toEqual([])
  })

  test('leaves alone a request that brings its own Authorization', async () => {
    const orders = await createService()
    const { client } = await signedIn([orders.url])
    await client.fetch(orders.url, { headers: { Authorization: 'Bearer mine' } })
    expect(orders.requests.map(({ authorization }) => authorization)).toEqual(['Bearer mine'])
  })

  test('a redirect to a foreign origin does not carry the token there', async () => {
    const [orders, foreign] = [await createService(), await createService()]
    orders.url = foreign.url
    const { client } = await signedIn([`http://127.0.0.1:${(orders.server.address() as AddressInfo).port}`])
    const answered = await client.fetch(`http://127.0.0.1:${(orders.server.address() as AddressInfo).port}/redirect`)
    expect(answered.url).toBe(`${foreign.url}/target`)
    expect(orders.requests[0]?.authorization).toMatch(/^Bearer /)
    expect(foreign.requests).toMatchObject([{ path: '/target', authorization: undefined }])
  })

  test.each<[string, (url: string) => [string | Request, RequestInit?]]>([
    ['text', (url) => [url, { method: 'POST', body: '{"a":1}' }]],
    ['bytes', (url) => [url, { method: 'PUT', body: new TextEncoder().encode('{"a":1}') }]],
    ['a Request', (url) => [new Request(url, { method: 'POST', body: '{"a":1}' })]],
    ['a Request and an init', (url) => [new Request(url, { method: 'POST', body: 'old' }), { body: '{"a":1}' }]],
  ])('after a 401: one refresh, one more attempt, the same body (%s)', async (_name, request) => {
    const orders = await createService()
    const device = await signedIn([orders.url])
    const old = await device.client.getAccessToken()
    orders.refuses = (token) => token === undefined || token === old
    const answered = await device.client.fetch(...(request(orders.url) as Parameters<typeof fetch>))
    expect(answered.status).toBe(200)
    expect(orders.requests.map(({ body }) => body)).toEqual(['{"a":1}', '{"a":1}'])
    expect(refreshes(device)).toBe(1)
    expect(orders.requests[1]?.authorization).toBe(`Bearer ${await device.client.getAccessToken()}`)
  })

  test('a stream is sent once; its 401 is the app’s to handle', async () => {
    const orders = await createService()
    const device = await signedIn([orders.url])
    orders.refuses = () => true
    const body = new Blob(['{"a":1}']).stream()
    const answered = await device.client.fetch(orders.url, { method: 'POST', body, duplex: 'half' })
    expect(answered.status).toBe(401)
    expect(orders.requests.map((each) => each.body)).toEqual(['{"a":1}'])
  })

  test('twenty refused at once: one refresh', async () => {
    const orders = await createService()
    const device = await signedIn([orders.url])
    const old = await device.client.getAccessToken()
    orders.refuses = (token) => token === undefined || token === old
    const answers = await atOnce(20, () => device.client.fetch(orders.url))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(refreshes(device)).toBe(1)
  })

  test('a service that refuses every token costs no storm of refreshes', async () => {
    const orders = await createService()
    const device = await signedIn([orders.url])
    orders.refuses = () => true
    for (let i = 0; i < 10; i++) expect((await device.client.fetch(orders.url)).status).toBe(401)
    await atOnce(10, () => device.client.fetch(orders.url))
    expect(refreshes(device)).toBe(1)
    expect(orders.requests).toHaveLength(21)
  })

  test('stops waiting for a token when the caller does', async () => {
    const device = await signedIn()
    device.network.interfere = only('/refresh', () => new Promise(() => {}))
    const client = device.restart()
    const reason = new Error('no longer of interest')
    const control = new AbortController()
    const asked = client.fetch(`${issuer}/me`, { signal: control.signal })
    control.abort(reason)
    await expect(asked).rejects.toBe(reason)
  })

  test('a signed-out session behind a 401 signs out here', async () => {
    const device = await signedIn()
    const other = createDevice(issuer)
    void other
    const headers = { authorization: `Bearer ${await device.client.getAccessToken()}` }
    await t.inject({ method: 'DELETE', url: '/sessions?including_current=true', headers })
    const answered = await device.client.fetch(`${issuer}/me`)
    expect(answered.status).toBe(401)
    expect(device.client.user).toBeNull()
  })
})

describe('one refresh', () => {
  test('for twenty who ask at once', async () => {
    const device = await signedIn()
    const client = device.restart()
    const tokens = await atOnce(20, () => client.getAccessToken())
    expect(new Set(tokens).size).toBe(1)
    expect(refreshes(device)).toBe(1)
  })

  test.each([
    ['the wall clock, which sees sleep', () => vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 3_600_000)],
    [
      'the other clock, which nobody sets',
      () => vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 3_600_000),
    ],
  ])('once the token has expired by %s', async (_name, jump) => {
    const device = await signedIn()
    const old = await device.client.getAccessToken()
    expect(await device.client.getAccessToken()).toBe(old)
    jump()
    expect(await device.client.getAccessToken()).not.toBe(old)
    expect(refreshes(device)).toBe(1)
  })

  test('a wall clock that is set back neither keeps an expired token nor makes a storm', async () => {
    const device = await signedIn()
    const [wall, mono] = [Date.now(), performance.now()]
    vi.spyOn(Date, 'now').mockReturnValue(wall - 86_400_000)
    await device.client.getAccessToken()
    expect(refreshes(device)).toBe(0)
    vi.spyOn(performance, 'now').mockReturnValue(mono + 601_000)
    await device.client.getAccessToken()
    await device.client.getAccessToken()
    expect(refreshes(device)).toBe(1)
  })

  test('ahead of expiry, without a wait for whoever asks', async () => {
    const device = await signedIn()
    const old = await device.client.getAccessToken()
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 0.9 * 600_000)
    const released = Promise.withResolvers<void>()
    device.network.interfere = only('/refresh', async (_sent, forward) => {
      await released.promise
      return forward()
    })
    expect(await device.client.getAccessToken()).toBe(old)
    expect(await device.client.getAccessToken()).toBe(old)
    await vi.waitFor(() => expect(refreshes(device)).toBe(1), 10_000)
    released.resolve()
    await vi.waitFor(async () => expect(await device.client.getAccessToken()).not.toBe(old), 10_000)
    expect(refreshes(device)).toBe(1)
  })

  test('two processes on one storage rotate without harm', async () => {
    const device = await signedIn()
    const clients = [device.client, device.restart(), device.restart()]
    device.network.interfere = shorten(0)
    await Promise.all(clients.map((client) => client.ready))
    for (let round = 0; round < 10; round++) await Promise.all(clients.map((client) => client.getAccessToken()))
    expect(await device.restart().ready).not.toBeNull()
  })
})

describe('an issuer in trouble', () => {
  test('503 with Retry-After in seconds: waits that long, then succeeds, with one key', async () => {
    const device = await signedIn()
    const times: number[] = []
    device.network.interfere = only('/refresh', async (sent, forward) => {
      times.push(performance.now())
      return times.length === 1
        ? (answer(503, { code: 'unavailable' }, { 'retry-after': '1' })(sent, forward) as Promise<Response>)
        : forward()
    })
    expect(await device.restart().ready).not.toBeNull()
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(1000)
    expect(times).toHaveLength(2)
    expect(keysOf(device).size).toBe(1)
  })

  test('429 with Retry-After as a date, further off than patience reaches: says so at once and asks nobody', async () => {
    const device = await signedIn()
    const date = new Date(Date.now() + 120_000).toUTCString()
    device.network.interfere = only('/refresh', answer(429, { code: 'too_many_requests' }, { 'retry-after': date }))
    const client = device.restart()
    const error = await client.ready.catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'too_many_requests', status: 429 })
    expect((error as { retryAfter: number }).retryAfter).toBeGreaterThan(110)
    for (let i = 0; i < 5; i++) await expect(client.getAccessToken()).rejects.toMatchObject({ status: 429 })
    // Another start knows as well.
    await expect(device.restart().ready).rejects.toMatchObject({ status: 503, code: 'unavailable' })
    expect(refreshes(device)).toBe(1)
  })

  test('answers lost again and again: backs off, keeps its key, and comes back by itself', async () => {
    const device = await signedIn()
    let lost = 0
    device.network.interfere = only('/refresh', (sent, forward) =>
      lost++ < 4 ? loseAnswers(sent, forward) : forward(),
    )
    const client = device.restart()
    await client.ready.catch(() => {})
    expect(await client.getAccessToken()).toMatch(/^ey/)
    expect(refreshes(device)).toBe(5)
    expect(keysOf(device).size).toBe(1)
  })

  test('a hopeless issuer is asked a few times, not in a loop, and nobody is signed out', async () => {
    const device = await signedIn()
    const client = device.restart()
    const user = await client.ready
    const now = performance.now.bind(performance)
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 3_600_000)
    device.network.interfere = only('/refresh', () => Promise.reject(new TypeError('fetch failed')))
    const before = refreshes(device)
    await expect(client.getAccessToken()).rejects.toMatchObject({ code: 'network', status: 0 })
    expect(refreshes(device) - before).toBeLessThan(40)
    expect(client.user).toEqual(user)
    device.network.interfere = undefined
    expect(await client.getAccessToken()).toMatch(/^ey/)
  }, 30_000)

  test('while the token lives, trouble ahead of expiry is nobody’s trouble', async () => {
    const device = await signedIn()
    const token = await device.client.getAccessToken()
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 0.9 * 600_000)
    device.network.interfere = only('/refresh', answer(503, { code: 'unavailable' }, { 'retry-after': '30' }))
    for (let i = 0; i < 10; i++) expect(await device.client.getAccessToken()).toBe(token)
    await vi.waitFor(() => expect(refreshes(device)).toBe(1), 10_000)
    expect(await device.client.getAccessToken()).toBe(token)
    expect(refreshes(device)).toBe(1)
  })
})

describe('logout', () => {
  test('wins over a refresh that is under way', async () => {
    const device = await signedIn()
    const client = device.restart()
    await client.ready
    const [answered, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    device.network.interfere = only('/refresh', async (_sent, forward) => {
      const answer = await forward()
      answered.resolve()
      await released.promise
      return answer
    })
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 3_600_000)
    const asked = client.getAccessToken()
    await answered.promise
    expect(refreshes(device)).toBe(2)
    const users: unknown[] = []
    client.onChange((_state, user) => users.push(user))
    const out = client.logout()
    expect(client.user).toBeNull()
    released.resolve()
    await expect(asked).rejects.toMatchObject({ code: 'invalid_grant' })
    await out
    expect(users).toEqual([null])
    expect(client.user).toBeNull()
    expect(device.storage.items.size).toBe(0)
    device.network.interfere = undefined
    expect(await device.restart().ready).toBeNull()
    const families = await t.db.selectFrom('families').select('ended_at').execute()
    expect(families.every((family) => family.ended_at !== null)).toBe(true)
  })

  test('out of reach of the issuer: signed out here at once, there as soon as it can be told', async () => {
    const device = await signedIn()
    device.network.interfere = () => Promise.reject(new TypeError('fetch failed'))
    await expect(device.client.logout()).rejects.toMatchObject({ code: 'network' })
    expect(device.client.user).toBeNull()
    expect(await device.restart().ready, 'still out of reach').toBeNull()
    expect(refreshes(device)).toBe(0)
    device.network.interfere = undefined
    expect(await device.restart().ready).toBeNull()
    expect(device.storage.items.size).toBe(0)
    const [family] = await t.db.selectFrom('families').select('ended_at').execute()
    expect(family?.ended_at).not.toBeNull()
  })

  test('a sign-in after it stands, whatever became of it', async () => {
    const device = createDevice(issuer)
    const { email, password, user } = await signUp(device)
    device.network.interfere = () => Promise.reject(new TypeError('fetch failed'))
    await expect(device.client.logout()).rejects.toMatchObject({ code: 'network' })
    device.network.interfere = undefined
    await device.client.login({ email, password })
    expect(await device.restart().ready).toEqual(user)
  })

  test('called while a sign-in is under way, it is the last word', async () => {
    const device = createDevice(issuer)
    const { email, password } = await signUp(device)
    const signIn = device.client.login({ email, password })
    const out = device.client.logout()
    await expect(signIn).rejects.toMatchObject({ code: 'invalid_grant' })
    await out
    expect(device.client.user).toBeNull()
    expect(await device.restart().ready).toBeNull()
  })
})
