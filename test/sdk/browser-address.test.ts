import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Account, account } from '../../sdk/browser/src/account.ts'
import { invite } from '../../src/users/invite.ts'
import type { TestApp } from '../support/app.ts'
import { noteSecret } from '../support/canary.ts'
import { type Mailboxes, openMailboxes } from '../support/mailboxes.ts'
import { byOperator } from '../support/operation.ts'
import { answer, createDevice, type Device, only, signUp, startIssuer } from './browser-support.ts'

// What the account module asks of the server about another address and about invitations, on the device that asked and on others.

let t: TestApp
let mailboxes: Mailboxes
let device: Device
let mine: Account

beforeEach(async () => {
  let issuer: string
  ;({ t, issuer } = await startIssuer())
  mailboxes = openMailboxes(t)
  device = createDevice(issuer)
  mine = account(device.client)
})
afterEach(() => t[Symbol.asyncDispose]())

const next = () => `next-${crypto.randomUUID()}@example.com`
const phrase = (): string => {
  const password = `another phrase of ${crypto.randomUUID()}`
  noteSecret(password)
  return password
}
/** The app of somebody else, or of the same person elsewhere, where nobody is signed in. */
const elsewhere = (): Account => account(createDevice(device.client.issuer).client)
const invalid = { name: 'ClavigerError', code: 'invalid_code', status: 400 }

describe('another address', () => {
  /** Asks for it. @returns what the mail to it has. */
  async function ask(email: string, currentPassword: string) {
    expect(await mine.changeEmail({ email, currentPassword })).toBeUndefined()
    return mailboxes.one(email, 'change-email')
  }

  test('counts once its link is opened, on whatever device; here it is known with the next token', async () => {
    const { email: before, password, user } = await signUp(device)
    const email = next()
    const { token } = await ask(email, password)
    expect((await mine.me()).email).toBe(before)
    expect(await elsewhere().confirmEmail({ token })).toBeUndefined()
    expect(await device.client.refresh()).toEqual({ ...user, email, email_verified: true })
    await expect(elsewhere().confirmEmail({ token })).rejects.toMatchObject(invalid)
  })

  test('is known at once where it is confirmed, by the link', async () => {
    const { password, user } = await signUp(device)
    const email = next()
    const { token } = await ask(email, password)
    await mine.confirmEmail({ token })
    expect(device.client.user).toEqual({ ...user, email, email_verified: true })
    const [confirmed] = device.network.to('/email/confirm')
    expect(confirmed?.headers.has('authorization'), 'whoever is signed in: the link is what counts').toBe(false)
  })

  test('by the code is for whoever is signed in and has asked', async () => {
    const { password, user } = await signUp(device)
    const email = next()
    const { code } = await ask(email, password)
    const stranger = createDevice(device.client.issuer)
    await expect(account(stranger.client).confirmEmail({ code })).rejects.toMatchObject({ code: 'invalid_grant' })
    expect(stranger.network.sent).toEqual([])
    await signUp(stranger)
    await expect(account(stranger.client).confirmEmail({ code })).rejects.toMatchObject(invalid)
    await mine.confirmEmail({ code })
    expect(device.client.user).toEqual({ ...user, email, email_verified: true })
  })

  test('a token that is refused meanwhile costs a refresh, and not the code', async () => {
    const { password } = await signUp(device)
    const email = next()
    const { code } = await ask(email, password)
    let refused = false
    device.network.interfere = only('/email/confirm', (...request) => {
      if (refused) return undefined
      refused = true
      return answer(401, { code: 'invalid_token' })(...request)
    })
    await mine.confirmEmail({ code })
    expect(device.network.to('/email/confirm')).toHaveLength(2)
    expect(device.client.user?.email).toBe(email)
  })

  test('with a wrong password is one wrong guess, and costs no refresh', async () => {
    await signUp(device)
    const change = mine.changeEmail({ email: next(), currentPassword: 'not that one' })
    await expect(change).rejects.toMatchObject({ code: 'invalid_credentials', status: 401 })
    expect([device.network.to('/email').length, device.network.to('/refresh').length]).toEqual([1, 0])
    expect(device.client.state).toBe('signed-in')
  })

  test('nobody learns here whether it has an account', async () => {
    const { email: taken } = await signUp(createDevice(device.client.issuer))
    const { password } = await signUp(device)
    expect(await mine.changeEmail({ email: taken, currentPassword: password })).toBeUndefined()
    await expect(mine.changeEmail({ email: 'no address', currentPassword: password })).rejects.toMatchObject({
      code: 'invalid_email',
    })
  })

  test('is taken back by the link in the old mailbox: everybody is signed out, and the password is good for nothing', async () => {
    const { email: before, password } = await signUp(device)
    const email = next()
    await mine.confirmEmail({ token: (await ask(email, password)).token })
    const { token } = await mailboxes.one(before, 'email-changed')
    await mine.undoEmailChange({ token })
    expect([device.client.state, device.client.cause]).toEqual(['signed-out', 'ended'])
    await expect(device.client.login({ email: before, password })).rejects.toMatchObject({
      code: 'invalid_credentials',
    })
    await expect(mine.undoEmailChange({ token })).rejects.toMatchObject(invalid)
    const newPassword = phrase()
    await mine.resetPassword({ token: (await mailboxes.one(before, 'reset-password')).token, newPassword })
    expect(await device.client.login({ email: before, password: newPassword })).toMatchObject({ email: before })
  })
})

describe('who is invited', () => {
  async function invited() {
    const email = next()
    await invite(t.deps, byOperator(t.deps), { email, roles: ['clerk'], mail: 'en' })
    const { token, code } = await mailboxes.one(email, 'invitation')
    return { email, token, code }
  }

  test('chooses a password and has an account, with the address proved, and signs in with that', async () => {
    await device.client.ready
    const { email, token } = await invited()
    await expect(mine.acceptInvitation({ token, password: 'short' })).rejects.toMatchObject({
      code: 'password_too_short',
    })
    const password = phrase()
    const profile = await mine.acceptInvitation({ token, password })
    expect(profile).toMatchObject({ email, email_verified: true, roles: ['clerk'], claims: {} })
    expect(device.client.state).toBe('signed-out')
    await expect(mine.acceptInvitation({ token, password })).rejects.toMatchObject(invalid)
    await device.client.login({ email, password })
    expect(await mine.me()).toEqual(profile)
  })

  test('may type the code instead', async () => {
    const { email, code } = await invited()
    expect(await mine.acceptInvitation({ email, code, password: phrase() })).toMatchObject({ email })
  })
})
