import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createClient } from '../../sdk/browser/src/index.ts'
import type { Client } from '../../sdk/browser/src/types.ts'
import type { TestApp } from '../support/app.ts'
import { answer, createDevice, createNetwork, only, signUp, startIssuer } from './browser-support.ts'

// Where a client of the browser package can keep a session and where it cannot, and what is left of one that is closed.

let t: TestApp
let issuer: string

beforeEach(async () => {
  ;({ t, issuer } = await startIssuer())
})
afterEach(async () => {
  vi.restoreAllMocks()
  await t[Symbol.asyncDispose]()
})

const credentials = { email: 'ada@example.com', password: 'a long phrase' }

/** Everything that is about a session, by name. */
const calls = (client: Client): [string, () => Promise<unknown>][] => [
  ['login', () => client.login(credentials)],
  ['register', () => client.register(credentials)],
  ['logout', () => client.logout()],
  ['getAccessToken', () => client.getAccessToken()],
  ['fetch', () => client.fetch(`${issuer}/me`)],
]

describe('where there is neither a page nor a storage, as on a server that renders pages', () => {
  test('nobody is signed in and nobody can be: it would be for everybody who asks', async () => {
    const network = createNetwork()
    const client = createClient({ issuer, fetch: network.fetch })
    expect(await client.ready).toBeNull()
    for (const [name, call] of calls(client)) {
      await expect(call(), name).rejects.toMatchObject({ name: 'ClavigerError', code: 'no_storage', status: 0 })
      await expect(call(), name).rejects.toThrow('`storage`')
    }
    expect(network.sent).toEqual([])
    expect(client.user).toBeNull()
  })

  test('what needs no session goes its way', async () => {
    const client = createClient({ issuer })
    const own = await client.fetch(`${issuer}/me`, { headers: { authorization: 'Bearer of-this-request' } })
    expect(own.status).toBe(401)
    const network = createNetwork()
    network.interfere = async () => new Response('foreign')
    const foreign = await createClient({ issuer, fetch: network.fetch }).fetch('https://elsewhere.example')
    expect(await foreign.text()).toBe('foreign')
    expect(network.sent.map(({ headers }) => headers.get('authorization'))).toEqual([null])
  })

  test('with a storage each client has a session of its own', async () => {
    const [one, two] = [createDevice(issuer), createDevice(issuer)]
    const { user } = await signUp(one)
    expect(one.client.user).toEqual(user)
    expect(await two.restart().ready).toBeNull()
  })
})

describe('a client that is closed', () => {
  test('rejects whatever it is asked, as often as it is closed, and has told nobody of a sign-out', async () => {
    const device = createDevice(issuer)
    const { user } = await signUp(device)
    const { client, network } = device
    const seen: unknown[] = []
    client.onChange((...each) => seen.push(each))
    client.close()
    client.close()
    const sent = network.sent.length
    for (const [name, call] of calls(client)) {
      await expect(call(), name).rejects.toMatchObject({ name: 'ClavigerError', code: 'closed', status: 0 })
    }
    expect(network.sent).toHaveLength(sent)
    expect(seen).toEqual([])
    expect(await device.restart().ready, 'the session is there').toEqual(user)
  })

  test('stores the answer that was on its way, and says nothing of it', async () => {
    const device = createDevice(issuer)
    const { user } = await signUp(device)
    let release = () => {}
    const released = new Promise<void>((resolve) => (release = resolve))
    device.network.interfere = only('/refresh', async (_sent, forward) => {
      await released
      return forward()
    })
    const client = device.restart()
    const seen: unknown[] = []
    client.onChange((...each) => seen.push(each))
    await vi.waitFor(() => expect(device.network.to('/refresh')).toHaveLength(1))
    const { token } = device.storage.record()
    client.close()
    release()
    await vi.waitFor(() => expect(device.storage.record().token).not.toBe(token))
    expect(seen).toEqual([])
    device.network.interfere = undefined
    t.travel(3600)
    expect(await device.restart().ready).toEqual(user)
  })

  test('keeps nobody waiting who waits for an issuer in trouble', async () => {
    const device = createDevice(issuer)
    await signUp(device)
    device.network.interfere = only('/refresh', answer(503, { code: 'unavailable' }, { 'retry-after': '3' }))
    const client = device.restart()
    const asked = client.getAccessToken().catch((error: unknown) => error)
    await vi.waitFor(() => expect(device.network.to('/refresh')).toHaveLength(1))
    client.close()
    expect(await asked).toMatchObject({ code: 'closed' })
    await expect(client.ready).rejects.toMatchObject({ code: 'closed' })
    expect(device.network.to('/refresh')).toHaveLength(1)
  })
})

describe('a program in Node ends', () => {
  const sdk = join(import.meta.dirname, '../../sdk/browser/src/index.ts')

  /** @returns what the program printed by the time it ended by itself. */
  const run = async (program: string): Promise<string> => {
    const script = `import { createClient } from ${JSON.stringify(sdk)}\nconst issuer = ${JSON.stringify(issuer)}\n${program}`
    const options = { timeout: 20_000 }
    return (await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], options)).stdout
  }

  test('when its own work is done, signed in', async () => {
    const device = createDevice(issuer)
    await signUp(device)
    const record = JSON.stringify(Object.fromEntries(device.storage.items))
    const printed = await run(`const items = new Map(Object.entries(${record}))
      const storage = {
        get: (name) => items.get(name), set: (name, value) => items.set(name, value), remove: (name) => items.delete(name)
      }
      const user = await createClient({ issuer, storage }).ready
      console.log(user.id)`)
    expect(printed.trim()).toBe(device.client.user?.id)
  })

  test('where something, as in a test of components, has given it a document', async () => {
    const printed = await run(`Object.assign(globalThis, {
        document: { visibilityState: 'visible', baseURI: issuer }, addEventListener() {}
      })
      const send = async () => Response.json({ access_token: 't', expires_in: 600, user: { id: 'ada' } })
      const client = createClient({ issuer, fetch: send })
      console.log((await client.ready).id)`)
    expect(printed.trim()).toBe('ada')
  })
})
