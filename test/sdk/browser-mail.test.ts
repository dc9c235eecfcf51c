import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Account, account } from '../../sdk/browser/src/account.ts'
import { delivered, linked } from '../sign-in/mailbox.ts'
import type { TestApp } from '../support/app.ts'
import { noteSecret } from '../support/canary.ts'
import { createDevice, type Device, only, signUp, startIssuer } from './browser-support.ts'

// What the account module asks of the server where a mail led to the page: on any device, with nobody signed in, mostly.

let t: TestApp
let device: Device
let mine: Account

const begin = async (env: Record<string, string> = {}): Promise<void> => {
  let issuer: string
  ;({ t, issuer } = await startIssuer(env))
  device = createDevice(issuer)
  mine = account(device.client)
}
beforeEach(() => begin())
afterEach(() => t[Symbol.asyncDispose]())

/** The app of somebody else, or of the same person elsewhere, where nobody is signed in. */
const elsewhere = (): Device => createDevice(device.client.issuer)
const phrase = (): string => {
  const password = `another phrase of ${crypto.randomUUID()}`
  noteSecret(password)
  return password
}
const invalid = { name: 'ClavigerError', code: 'invalid_code', status: 400 }

describe('a forgotten password', () => {
  const ask = async (email: string) => {
    await mine.forgotPassword({ email })
    return linked(await delivered(t), 'reset-password')
  }

  test('is reset by the link, on another device; every session is over, and here it is known at once', async () => {
    const { email, user } = await signUp(device)
    const { token } = await ask(email)
    const [other, newPassword] = [elsewhere(), phrase()]
    expect(await account(other.client).resetPassword({ token, newPassword })).toBeUndefined()
    expect([other.client.state, other.network.to('/refresh').length]).toEqual(['signed-out', 0])
    expect(await device.client.refresh()).toBeNull()
    expect(await other.client.login({ email, password: newPassword })).toEqual({ ...user, email_verified: true })
    await expect(mine.resetPassword({ token, newPassword })).rejects.toMatchObject(invalid)
  })

  test('where its owner is signed in, the page is signed out, and says why', async () => {
    const { email } = await signUp(device)
    const { token } = await ask(email)
    await mine.resetPassword({ token, newPassword: phrase() })
    expect([device.client.state, device.client.cause]).toEqual(['signed-out', 'ended'])
  })

  test('is reset by the code, with the address', async () => {
    const { email } = await signUp(device)
    const { code } = await ask(email)
    const newPassword = phrase()
    await mine.resetPassword({ email, code, newPassword })
    await elsewhere().client.login({ email, password: newPassword })
  })

  test('a refused password uses nothing up', async () => {
    const { email } = await signUp(device)
    const { token } = await ask(email)
    await expect(mine.resetPassword({ token, newPassword: 'short' })).rejects.toMatchObject({
      code: 'password_too_short',
      status: 400,
    })
    await mine.resetPassword({ token, newPassword: phrase() })
  })

  test('nobody learns here whether there is an account', async () => {
    await device.client.ready
    expect(await mine.forgotPassword({ email: 'nobody@example.com' })).toBeUndefined()
    expect(await delivered(t)).toEqual([])
  })

  test('too many requests say when to try again', async () => {
    await t[Symbol.asyncDispose]()
    await begin({ RATE_LIMIT_FORGOT_PER_HOUR: '1' })
    await mine.forgotPassword({ email: 'ada@example.com' })
    const again = mine.forgotPassword({ email: 'ada@example.com' })
    await expect(again).rejects.toMatchObject({ code: 'too_many_requests', retryAfter: expect.any(Number) })
  })
})

describe('an address that has to be proved', () => {
  beforeEach(async () => {
    await t[Symbol.asyncDispose]()
    await begin({ EMAIL_VERIFICATION: 'required' })
  })
  const join = async (email: string, password: string) => {
    expect(await device.client.register({ email, password, signIn: true })).toBeNull()
    return linked(await delivered(t), 'verify-email')
  }

  test('until then nobody is signed in, and the right password is told why', async () => {
    const [email, password] = ['ada@example.com', phrase()]
    const { token } = await join(email, password)
    await expect(device.client.login({ email, password })).rejects.toMatchObject({
      code: 'email_unverified',
      status: 403,
    })
    await expect(device.client.login({ email, password: phrase() })).rejects.toMatchObject({
      code: 'invalid_credentials',
    })
    await account(elsewhere().client).verifyEmail({ token, password })
    expect(device.client.state).toBe('signed-out')
    expect(await device.client.login({ email, password })).toMatchObject({ email, email_verified: true })
  })

  test('another password replaces that of the registration', async () => {
    const [email, ofStranger, password] = ['ada@example.com', phrase(), phrase()]
    const { code } = await join(email, ofStranger)
    await mine.verifyEmail({ email, code, password })
    await expect(device.client.login({ email, password: ofStranger })).rejects.toMatchObject({
      code: 'invalid_credentials',
    })
    await device.client.login({ email, password })
  })

  test('the mail comes again, and the newest counts', async () => {
    const [email, password] = ['ada@example.com', phrase()]
    const first = await join(email, password)
    await mine.resendVerification({ email })
    const second = linked(await delivered(t), 'verify-email')
    await expect(mine.verifyEmail({ token: first.token, password })).rejects.toMatchObject(invalid)
    await mine.verifyEmail({ token: second.token, password })
  })
})

test('without an answer it is a ClavigerError as well, and no token of a session goes along', async () => {
  await signUp(device)
  device.network.interfere = only('/password/forgot', () => Promise.reject(new TypeError('fetch failed')))
  await expect(mine.forgotPassword({ email: 'ada@example.com' })).rejects.toMatchObject({ code: 'network', status: 0 })
  const [sent] = device.network.to('/password/forgot')
  expect(sent?.headers.has('authorization')).toBe(false)
})
