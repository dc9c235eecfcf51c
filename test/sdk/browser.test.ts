import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ClavigerError, type Client } from '../../sdk/browser/src/index.ts'
import type { TestApp } from '../support/app.ts'
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

// The core of the browser package where there is no browser: against the real server, over a network that fails.

let t: TestApp
let issuer: string
let device: Device

beforeEach(async () => {
  ;({ t, issuer } = await startIssuer())
  device = createDevice(issuer)
})
afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  await t[Symbol.asyncDispose]()
})

const endAllSessions = async (accessToken: string) => {
  const headers = { authorization: `Bearer ${accessToken}` }
  const ended = await t.inject({ method: 'DELETE', url: '/sessions?including_current=true', headers })
  expect(ended.statusCode).toBe(204)
}

const refused = { name: 'ClavigerError', code: 'invalid_grant', status: 401 }

test('register, sign in, ask, sign out', async () => {
  const { network, storage } = device
  const client = device.restart()
  const seen: unknown[] = []
  client.onChange((state, found, cause) => seen.push([state, found?.email, cause]))
  expect(client.state).toBe('loading')
  expect(await client.ready).toBeNull()
  expect(network.sent, 'without a refresh token there is nothing to ask').toEqual([])
  await expect(client.getAccessToken()).rejects.toMatchObject(refused)

  const { email, user } = await signUp(device)
  expect(user).toMatchObject({ email, email_verified: false, roles: [] })
  expect(client.user).toEqual(user)
  expect(network.to('/login')[0]?.body).toMatchObject({ client_id: 'native' })
  const me = await client.fetch(`${issuer}/me`)
  expect(await me.json()).toMatchObject({ id: user.id })
  expect(storage.record().token).toMatch(/^rt1_/)
  expect(JSON.stringify([...storage.items]), 'the access token is in memory only').not.toContain(
    await client.getAccessToken(),
  )

  await client.logout()
  expect(client.user).toBeNull()
  expect(storage.items.size).toBe(0)
  await expect(client.getAccessToken()).rejects.toMatchObject(refused)
  expect((await client.fetch(`${issuer}/me`)).status, 'signed out, fetch goes without a token').toBe(401)
  expect(client.state).toBe('signed-out')
  expect(seen).toEqual([
    ['signed-out', undefined, 'found'],
    ['signed-in', email, 'login'],
    ['signed-out', undefined, 'logout'],
  ])
})

test('a restart finds the session', async () => {
  const { user } = await signUp(device)
  const again = device.restart()
  const seen: unknown[] = []
  again.onChange((...change) => seen.push(change))
  expect(await again.ready).toEqual(user)
  expect(again.user).toEqual(user)
  expect(again.state).toBe('signed-in')
  expect(seen).toEqual([['signed-in', user, 'found']])
  expect(device.network.to('/refresh')).toHaveLength(1)
  expect((await again.fetch(`${issuer}/me`)).status).toBe(200)
})

test('errors carry the code, the status and Retry-After', async () => {
  const { client, network } = device
  const credentials = { email: 'nobody@example.com', password: 'wrong wrong wrong' }
  await expect(client.login(credentials)).rejects.toMatchObject({
    name: 'ClavigerError',
    code: 'invalid_credentials',
    status: 401,
    retryAfter: undefined,
  })
  const { email } = await signUp(device)
  await expect(client.register({ email, password: 'another good one' })).rejects.toMatchObject({ code: 'email_taken' })
  network.interfere = answer(429, { code: 'too_many_requests', title: 'Too many requests' }, { 'retry-after': '7' })
  const throttled = await client.login(credentials).catch((error: unknown) => error)
  expect(throttled).toBeInstanceOf(ClavigerError)
  expect(throttled).toMatchObject({ code: 'too_many_requests', status: 429, retryAfter: 7 })
  network.interfere = answer(502, '<h1>Bad gateway</h1>')
  await expect(client.login(credentials)).rejects.toMatchObject({ code: 'unexpected', status: 502 })
  network.interfere = answer(200, '<h1>Accept our terms</h1>')
  await expect(client.login(credentials)).rejects.toMatchObject({ code: 'network', status: 0 })
})

describe('Idempotency-Key', () => {
  const keys = () => device.network.to('/refresh').map((sent) => sent.headers.get('idempotency-key'))

  test('is stored before the request leaves, and gone once the answer is in', async () => {
    await signUp(device)
    let stored: string | undefined
    device.network.interfere = only('/refresh', async (_sent, forward) => {
      stored = device.storage.record().key
      return forward()
    })
    await device.restart().ready
    expect(stored).toMatch(/.{36}/)
    expect(keys()).toEqual([stored])
    expect(device.storage.record()).not.toHaveProperty('key')
    await device.restart().ready
    expect(new Set(keys()).size, 'one key per exchange').toBe(2)
  })

  test('makes a retry of a lost answer a retry, however late', async () => {
    const { user } = await signUp(device)
    vi.stubGlobal('navigator', { onLine: false })
    device.network.interfere = only('/refresh', loseAnswers)
    await expect(device.restart().ready).rejects.toMatchObject({ code: 'network', status: 0 })
    t.travel(3600)
    device.network.interfere = undefined
    expect(await device.restart().ready).toEqual(user)
    expect(new Set(keys()).size).toBe(1)
    // And on from there.
    expect(await device.restart().ready).toEqual(user)
  })

  test('control: without it the same ends the session', async () => {
    await signUp(device)
    const strip = only('/refresh', (sent) =>
      fetch(sent.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(sent.body),
      }),
    )
    vi.stubGlobal('navigator', { onLine: false })
    device.network.interfere = only('/refresh', (sent, forward) =>
      loseAnswers(sent, async () => (await strip(sent, forward)) ?? forward()),
    )
    await expect(device.restart().ready).rejects.toMatchObject({ code: 'network' })
    t.travel(3600)
    device.network.interfere = strip
    expect(await device.restart().ready).toBeNull()
    expect(device.storage.items.size).toBe(0)
  })

  test('survives a crash between the answer and its storing', async () => {
    const { user } = await signUp(device)
    const { set } = device.storage
    device.storage.set = async (name, value) => {
      if (JSON.parse(value).key === undefined) throw new Error('the disk is full')
      await set(name, value)
    }
    await expect(device.restart().ready).rejects.toThrow('the disk is full')
    t.travel(3600)
    device.storage.set = set
    expect(await device.restart().ready).toEqual(user)
  })

  test('may go with the successor: the answer was stored, and only the news of it was lost', async () => {
    // As in a browser, which keeps the new cookie of an answer that the page never sees.
    const { user } = await signUp(device)
    vi.stubGlobal('navigator', { onLine: false })
    for (let round = 0; round < 3; round++) {
      let successor = ''
      device.network.interfere = only('/refresh', async (_sent, forward) => {
        successor = ((await (await forward()).json()) as { refresh_token: string }).refresh_token
        throw new TypeError('the answer was lost')
      })
      await expect(device.restart().ready).rejects.toMatchObject({ code: 'network' })
      device.storage.change({ token: successor })
      t.travel(60)
    }
    expect(new Set(keys()).size).toBe(1)
    device.network.interfere = undefined
    expect(await device.restart().ready).toEqual(user)
    expect(device.storage.record()).not.toHaveProperty('key')
  })

  test.each([
    ['429', answer(429, { code: 'too_many_requests' }, { 'retry-after': '60' })],
    ['503', answer(503, { code: 'unavailable' }, { 'retry-after': '60' })],
    ['502 of a proxy', answer(502, 'Bad gateway', { 'retry-after': '60' })],
    ['401 of a proxy', answer(401, 'Proxy says no')],
    ['403', answer(403, { code: 'origin_not_allowed' })],
    ['no answer', async () => Promise.reject(new TypeError('fetch failed'))],
    ['200 of a captive portal', answer(200, '<h1>Accept our terms</h1>')],
    ['200 without a token', answer(200, {})],
  ])('%s is no answer: the session and the key stay', async (_name, interference) => {
    const { user } = await signUp(device)
    // Known to be without a network, the client does not try again at once, and neither does this test.
    vi.stubGlobal('navigator', { onLine: false })
    device.network.interfere = only('/refresh', interference)
    const client = device.restart()
    await expect(client.ready).rejects.toBeInstanceOf(ClavigerError)
    const { key, token } = device.storage.record()
    expect(key).toBeDefined()
    expect(token).toMatch(/^rt1_/)
    device.network.interfere = undefined
    device.storage.change({ wait: undefined })
    expect(await device.restart().ready).toEqual(user)
    expect(new Set(keys())).toEqual(new Set([key]))
  })

  test('401 invalid_grant is the end: nobody is signed in, nothing stays behind', async () => {
    const { user } = await signUp(device)
    device.network.interfere = shorten(0)
    const client = device.restart()
    const seen: unknown[] = []
    expect(await client.ready).toEqual(user)
    client.onChange((...change) => seen.push(change))
    await endAllSessions(await client.getAccessToken())
    await expect(client.getAccessToken()).rejects.toMatchObject(refused)
    expect(client.user).toBeNull()
    expect(seen).toEqual([['signed-out', null, 'ended']])
    expect(device.storage.items.size).toBe(0)
  })
})

describe('what becomes of a session, and why', () => {
  /** Every change that the client tells of, as it is told. */
  const watch = (client: Client): unknown[] => {
    const seen: unknown[] = []
    client.onChange((state, found, cause) => seen.push([state, found?.id, cause, client.state]))
    return seen
  }

  test('an outage at the start is told, and so is what the issuer says once it is back', async () => {
    const { user } = await signUp(device)
    vi.stubGlobal('navigator', { onLine: false })
    device.network.interfere = only('/refresh', async () => Promise.reject(new TypeError('fetch failed')))
    const client = device.restart()
    const seen = watch(client)
    await expect(client.ready).rejects.toMatchObject({ code: 'network' })
    expect(client.state).toBe('unreachable')
    expect(seen).toEqual([['unreachable', undefined, 'unreachable', 'unreachable']])

    const ended = device.restart()
    const told = watch(ended)
    await expect(ended.ready).rejects.toMatchObject({ code: 'network' })
    device.network.interfere = only('/refresh', answer(401, { code: 'invalid_grant', title: 'Sign in again' }))
    await vi.waitFor(() => expect(told).toHaveLength(1))
    // The client waits half a minute for its network, and this test does not.
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 60_000)
    await expect(ended.getAccessToken()).rejects.toMatchObject(refused)
    expect(told.at(-1)).toEqual(['signed-out', undefined, 'ended', 'signed-out'])
    expect(user.id).toBeDefined()
  })

  test('a session that ran out has expired; one that was ended before has not', async () => {
    await signUp(device)
    const client = device.restart()
    await client.ready
    const seen = watch(client)
    device.storage.change({ ends: Date.now() - 1 })
    device.network.interfere = only('/refresh', answer(401, { code: 'invalid_grant', title: 'Sign in again' }))
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 3_600_000)
    await expect(client.getAccessToken()).rejects.toMatchObject(refused)
    expect(seen).toEqual([['signed-out', undefined, 'expired', 'signed-out']])
  })

  test('trouble later on signs nobody out', async () => {
    const { user } = await signUp(device)
    const client = device.restart()
    await client.ready
    const seen = watch(client)
    vi.stubGlobal('navigator', { onLine: false })
    device.network.interfere = only('/refresh', async () => Promise.reject(new TypeError('fetch failed')))
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 3_600_000)
    await expect(client.getAccessToken()).rejects.toMatchObject({ code: 'network' })
    expect([client.state, client.user, seen]).toEqual(['signed-in', user, []])
  })
})
