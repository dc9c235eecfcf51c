import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Account, account } from '../../sdk/browser/src/account.ts'
import type { TestApp } from '../support/app.ts'
import { answer, createDevice, type Device, only, signUp, startIssuer } from './browser-support.ts'

// What the browser package's account module asks of the server, and what becomes of the session that asks.

let t: TestApp
let issuer: string
let device: Device
let mine: Account

beforeEach(async () => {
  ;({ t, issuer } = await startIssuer())
  device = createDevice(issuer)
  mine = account(device.client)
})
afterEach(() => t[Symbol.asyncDispose]())

/** Another place where the same person is signed in. */
async function signInElsewhere(credentials: { email: string; password: string }): Promise<Device> {
  const other = createDevice(issuer)
  await other.client.login(credentials)
  return other
}

const over = { name: 'ClavigerError', code: 'invalid_grant', status: 401 }

test('me', async () => {
  const { user } = await signUp(device)
  await t.db.updateTable('users').set({ claims: '{"team":"blue"}' }).where('id', '=', user.id).execute()
  expect(await mine.me()).toEqual({ ...user, claims: { team: 'blue' }, created_at: expect.any(String) })
})

test('sessions, and the end of one and of all others', async () => {
  const signedUp = await signUp(device)
  const [phone, laptop] = [await signInElsewhere(signedUp), await signInElsewhere(signedUp)]
  const sessions = await mine.sessions()
  expect(sessions).toHaveLength(3)
  expect(sessions.filter(({ current }) => current)).toHaveLength(1)
  const [ofPhone] = (await account(phone.client).sessions()).filter(({ current }) => current)
  await mine.endSession(ofPhone?.id ?? '')
  expect(await phone.client.refresh()).toBeNull()
  expect(await laptop.client.refresh()).toEqual(signedUp.user)
  await mine.endOtherSessions()
  expect(await laptop.client.refresh()).toBeNull()
  expect(await mine.sessions()).toHaveLength(1)
  expect(device.client.state).toBe('signed-in')
})

test('the end of the session that asks is a sign-out, and says why', async () => {
  await signUp(device)
  const seen: unknown[] = []
  device.client.onChange((...change) => seen.push(change))
  const [own] = await mine.sessions()
  await mine.endSession((own?.id ?? '').toUpperCase())
  expect(device.client.state).toBe('signed-out')
  expect(seen).toEqual([['signed-out', null, 'ended']])
  await expect(mine.sessions()).rejects.toMatchObject(over)
})

test.each(['00000000-0000-4000-8000-000000000000', 'nonsense', '../me', 'a/b', '?x'])(
  'a session %j is not found, and nothing else happens',
  async (id) => {
    await signUp(device)
    await expect(mine.endSession(id)).rejects.toMatchObject({ name: 'ClavigerError', status: 404 })
    expect(await device.client.refresh()).not.toBeNull()
  },
)

describe('changePassword', () => {
  test('ends all other sessions, and this one goes on with the token it has', async () => {
    const signedUp = await signUp(device)
    const elsewhere = await signInElsewhere(signedUp)
    const token = await device.client.getAccessToken()
    const newPassword = `another phrase of ${crypto.randomUUID()}`
    await mine.changePassword({ currentPassword: signedUp.password, newPassword })
    expect(await device.client.getAccessToken()).toBe(token)
    expect(await mine.me()).toMatchObject({ id: signedUp.user.id })
    expect(await device.restart().ready).toEqual(signedUp.user)
    expect(await elsewhere.client.refresh()).toBeNull()
    await expect(elsewhere.client.login(signedUp)).rejects.toMatchObject({ code: 'invalid_credentials' })
    await elsewhere.client.login({ email: signedUp.email, password: newPassword })
  })

  test('with a wrong password is one wrong guess, and costs no refresh', async () => {
    await signUp(device)
    const change = mine.changePassword({ currentPassword: 'not that one', newPassword: 'a quite different one' })
    await expect(change).rejects.toMatchObject({ code: 'invalid_credentials', status: 401 })
    expect(device.network.to('/password')).toHaveLength(1)
    expect(device.network.to('/refresh')).toEqual([])
    expect(device.client.state).toBe('signed-in')
  })

  test.each([
    ['short', 'password_too_short'],
    ['password', 'password_blocked'],
  ])('to %s is refused: %s', async (newPassword, code) => {
    const { password } = await signUp(device)
    await expect(mine.changePassword({ currentPassword: password, newPassword })).rejects.toMatchObject({ code })
  })
})

test('signed out, everything rejects without a request', async () => {
  await device.client.ready
  await expect(mine.me()).rejects.toMatchObject(over)
  await expect(mine.endOtherSessions()).rejects.toMatchObject(over)
  await expect(mine.changePassword({ currentPassword: 'a', newPassword: 'b' })).rejects.toMatchObject(over)
  expect(device.network.sent).toEqual([])
})

test('a client without the scope is told so', async () => {
  const signedUp = await signUp(device)
  await using narrow = await startIssuer({ SCOPES: 'orders:read' }).then(({ t: other, issuer: url }) => ({
    client: createDevice(url, { scope: 'orders:read' }).client,
    [Symbol.asyncDispose]: () => other[Symbol.asyncDispose](),
  }))
  await narrow.client.register({ ...signedUp, signIn: true })
  await expect(account(narrow.client).me()).rejects.toMatchObject({ code: 'insufficient_scope', status: 403 })
})

test('what is said when the issuer is in trouble is a ClavigerError as well', async () => {
  await signUp(device)
  device.network.interfere = only('/sessions', answer(503, { code: 'unavailable' }, { 'retry-after': '7' }))
  await expect(mine.sessions()).rejects.toMatchObject({ code: 'unavailable', status: 503, retryAfter: 7 })
  device.network.interfere = only('/sessions', () => Promise.reject(new TypeError('fetch failed')))
  await expect(mine.sessions()).rejects.toMatchObject({ code: 'network', status: 0 })
  device.network.interfere = only('/sessions', answer(200, '<h1>Accept our terms</h1>'))
  await expect(mine.sessions()).rejects.toMatchObject({ code: 'network', status: 0 })
})
