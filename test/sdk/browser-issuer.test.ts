import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createClient } from '../../sdk/browser/src/index.ts'
import type { TestApp } from '../support/app.ts'
import { answer, createDevice, type Device, only, signUp, startIssuer } from './browser-support.ts'

// What the browser package says where its `issuer` is not the server that it should be, and which of the issuer's answers
// a registration and a refresh by hand resolve with.

let t: TestApp
let issuer: string
let device: Device

beforeEach(async () => {
  ;({ t, issuer } = await startIssuer())
  device = createDevice(issuer)
})
afterEach(() => t[Symbol.asyncDispose]())

const credentials = { email: 'ada@example.com', password: 'a long phrase' }

describe('an issuer that is no URL of a server is refused at once, in words', () => {
  test.each([
    ['absent', undefined],
    ['null', null],
    ['empty', ''],
    ['a number', 3000],
    ['without a scheme', 'localhost:4600'],
    ['a host name', 'auth.example.com'],
    ['a path', '/auth'],
    ['of another scheme', 'ftp://auth.example.com'],
    ['a scheme alone', 'https://'],
    ['surrounded by quotes', '"https://auth.example.com"'],
  ])('%s', (_name, value) => {
    const create = () => createClient({ issuer: value as string })
    expect(create).toThrow(TypeError)
    expect(create).toThrow(`issuer: ${value} is no URL of a server`)
  })

  test('one that begins like a URL', () => {
    expect(() => createClient({ issuer: 'https://auth example.com' })).toThrow(TypeError)
  })
})

test.each([
  ['a slash at the end', (url: string) => `${url}/`],
  ['capital letters', (url: string) => url.replace('http', 'HTTP')],
])('an issuer may be written with %s', async (_name, spell) => {
  const { user } = await signUp(createDevice(spell(issuer)))
  expect(user.email).toContain('@')
})

describe('a server that is not the issuer', () => {
  /** Signs in at a server that answers so. @returns what went wrong. */
  async function signInAt(serve: RequestListener): Promise<unknown> {
    const server = createServer(serve).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    try {
      const other = createDevice(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
      return await other.client.login(credentials).catch((error: unknown) => error)
    } finally {
      server.close()
    }
  }

  test.each<[string, number, string]>([
    ['a page', 404, '<h1>Cannot POST /login</h1>'],
    ['nothing', 404, ''],
    ['JSON', 404, '{"error":"not found"}'],
    ['a page, as of a server of files', 405, '<h1>Method Not Allowed</h1>'],
    ['JSON that is no token', 200, '{"status":"ok"}'],
    ['JSON that is no object', 200, 'null'],
  ])('says so: %s with %s', async (_name, status, body) => {
    const error = await signInAt((_request, response) => response.writeHead(status).end(body))
    expect(error).toMatchObject({ name: 'ClavigerError', code: 'wrong_issuer', status })
    expect((error as Error).message).toMatch(/^issuer: at http:\/\/127\.0\.0\.1:\d+ is no Claviger$/)
  })

  test('or something between: other answers have words as well', async () => {
    for (const body of ['<h1>Bad gateway</h1>', '{"error":"nope"}', 'null', '']) {
      const error = await signInAt((_request, response) => response.writeHead(502).end(body))
      expect(error).toMatchObject({ code: 'unexpected', status: 502, message: 'no Claviger answered' })
    }
  })

  test('what the issuer itself does not know is its own answer', async () => {
    device.network.interfere = answer(404, { code: 'not_found', title: 'Not found' })
    await expect(device.client.login(credentials)).rejects.toMatchObject({ code: 'not_found', status: 404 })
  })
})

describe('an issuer by another name than its tokens have', () => {
  test('is refused, with both names, and nobody is signed in', async () => {
    const other = issuer.replace('127.0.0.1', 'localhost')
    await t.register(credentials.email, credentials.password)
    const stranger = createDevice(other)
    await expect(stranger.client.login(credentials)).rejects.toMatchObject({
      name: 'ClavigerError',
      code: 'wrong_issuer',
      message: `issuer: at ${other} is ${issuer}`,
    })
    expect(stranger.client.user).toBeNull()
    expect(stranger.storage.items.size).toBe(0)
  })

  test('is refused at a refresh, which says so in `ready` and asks once', async () => {
    await signUp(device)
    const other = issuer.replace('127.0.0.1', 'localhost')
    const stranger = createDevice(other)
    const [record = ''] = device.storage.items.values()
    stranger.storage.items.set(`claviger_${other}_native`.replace(/[^\w.-]+/g, '_'), record)
    await expect(stranger.client.ready).rejects.toMatchObject({ code: 'wrong_issuer' })
    expect(stranger.client.state).toBe('unreachable')
    expect(stranger.network.to('/refresh')).toHaveLength(1)
  })

  test('claims of one’s own that name an issuer are not mistaken for it', async () => {
    const { email, user } = await signUp(device)
    await t.db
      .updateTable('users')
      .set({ claims: JSON.stringify({ member: { iss: 'https://elsewhere.example', name: 'Zoë ~?>' } }) })
      .where('id', '=', user.id)
      .execute()
    expect(await device.restart().ready).toMatchObject({ email })
  })
})

describe('register', () => {
  test('makes an account and signs nobody in; with `signIn` it signs in', async () => {
    const { client, network } = device
    const first = await client.register(credentials)
    expect(first).toMatchObject({ email: credentials.email })
    expect(client.user).toBeNull()
    expect(network.to('/login')).toEqual([])
    const second = await client.register({ ...credentials, email: 'bob@example.com', signIn: true })
    expect(second).toMatchObject({ email: 'bob@example.com' })
    expect([client.state, client.user]).toEqual(['signed-in', second])
    expect(network.to('/register')[1]?.body).toEqual({ email: 'bob@example.com', password: credentials.password })
  })

  test('resolves with null, and signs nobody in, where the answer comes by mail', async () => {
    const { client, network } = device
    network.interfere = only('/register', answer(202))
    expect(await client.register({ ...credentials, signIn: true })).toBeNull()
    expect(client.user).toBeNull()
    expect(network.to('/login')).toEqual([])
  })

  test('is refused as the issuer refuses it, and signs nobody in', async () => {
    const { client, network } = device
    await client.register(credentials)
    await expect(client.register({ ...credentials, signIn: true })).rejects.toMatchObject({ code: 'email_taken' })
    expect(network.to('/login')).toEqual([])
  })
})

describe('refresh', () => {
  test('gets a new token with the rights of this moment, and tells of them', async () => {
    const { user } = await signUp(device)
    const { client } = device
    const before = await client.getAccessToken()
    await t.db
      .updateTable('users')
      .set({ roles: ['admin'] })
      .where('id', '=', user.id)
      .execute()
    const seen: unknown[] = []
    client.onChange((...change) => seen.push(change))
    const found = await client.refresh()
    expect(found).toEqual({ ...user, roles: ['admin'] })
    expect(await client.getAccessToken()).not.toBe(before)
    expect(seen).toEqual([['signed-in', found, 'found']])
    expect(device.network.to('/refresh')).toHaveLength(1)
  })

  test('two at once are one', async () => {
    await signUp(device)
    await Promise.all([device.client.refresh(), device.client.refresh()])
    expect(device.network.to('/refresh')).toHaveLength(1)
  })

  test('resolves with null where nobody is signed in, or nobody any more', async () => {
    expect(await device.client.refresh()).toBeNull()
    await signUp(device)
    const headers = { authorization: `Bearer ${await device.client.getAccessToken()}` }
    await t.inject({ method: 'DELETE', url: '/sessions?including_current=true', headers })
    expect(await device.client.refresh()).toBeNull()
    expect(device.client.state).toBe('signed-out')
  })

  test('rejects while the issuer is out of reach, which signs nobody out', async () => {
    const { user } = await signUp(device)
    device.network.interfere = answer(503, { code: 'unavailable', title: 'Not now' }, { 'retry-after': '60' })
    await expect(device.client.refresh()).rejects.toMatchObject({ code: 'unavailable', retryAfter: 60 })
    expect([device.client.state, device.client.user]).toEqual(['signed-in', user])
  })
})

test('fetch rejects with a ClavigerError where there is no answer, whosever it would be; an abort stays one', async () => {
  const { client, network } = device
  await signUp(device)
  network.interfere = () => Promise.reject(new TypeError('fetch failed'))
  const noAnswer = { name: 'ClavigerError', code: 'network', status: 0, cause: { message: 'fetch failed' } }
  await expect(client.fetch(`${issuer}/me`)).rejects.toMatchObject(noAnswer)
  await expect(client.fetch('https://foreign.example/')).rejects.toMatchObject(noAnswer)
  await expect(client.fetch(new Request(`${issuer}/me`))).rejects.toMatchObject(noAnswer)
  const aborted = new DOMException('Enough', 'AbortError')
  network.interfere = () => Promise.reject(aborted)
  await expect(client.fetch(`${issuer}/me`)).rejects.toBe(aborted)
})
