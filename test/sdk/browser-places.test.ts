import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createClient } from '../../sdk/browser/src/index.ts'
import type { Client } from '../../sdk/browser/src/types.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { createDevice, createNetwork, signUp } from './browser-support.ts'

// Where a client of the browser package can keep a session and where it cannot.

let t: TestApp
let issuer: string

beforeEach(async () => {
  t = await createTestApp()
  issuer = await t.listen()
})
afterEach(async () => {
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
