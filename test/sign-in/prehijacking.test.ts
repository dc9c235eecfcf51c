import { expect, test } from 'vitest'
import { setPassword } from '../../src/users/accounts.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { byOperator } from '../support/operation.ts'
import { addressOf, ask, bearer, confirm } from '../users/address.ts'
import { liveFamilies } from '../users/support.ts'
import { delivered, linked, mailedReset, mailedVerification, outcomeOf, post, reset, verify } from './mailbox.ts'

// A stranger registers with the address of somebody who has no account yet, prepares it to be taken back one day, and waits
// for the owner of the address to use it (Sudhodanan and Paverd, "Pre-hijacked accounts", USENIX Security 2022).

const ADA = 'ada@example.com'
const STRANGER = 'nine silent foxes wait'
const OWNER = 'seven brisk herons glide'

test.each<[string, (t: TestApp) => Promise<unknown>]>([
  ['resets the password', async (t) => reset(t, await mailedReset(t, ADA), OWNER)],
  ['verifies the address', async (t) => verify(t, await mailedVerification(t, ADA), OWNER)],
  ['has an operator set the password', (t) => setPassword(t.deps, byOperator(t.deps), ADA, OWNER)],
])('what a stranger has prepared is worth nothing once the owner of the address %s', async (_way, takeOver) => {
  await using t = await createTestApp()
  const stranger = await t.signUp(ADA, STRANGER)
  const { device_token } = (await t.login({ email: ADA, password: STRANGER })).json()
  // The account is to move to a mailbox of the stranger's, when it is worth something.
  expect((await ask(t, stranger, 'mallory@example.net', STRANGER)).statusCode).toBe(202)
  const { token, code } = linked(await delivered(t), 'change-email')

  await takeOver(t)
  expect(await liveFamilies(t, stranger.userId)).toEqual([])
  expect((await t.refresh(stranger.refreshToken)).statusCode).toBe(401)
  expect((await t.login({ email: ADA, password: STRANGER, device_token })).statusCode).toBe(401)
  expect((await t.inject({ url: '/me', headers: bearer(stranger) })).statusCode).toBe(401)
  const change = { current_password: STRANGER, new_password: `${STRANGER} still` }
  expect(outcomeOf(await post(t, '/password', change, bearer(stranger)))).toEqual([401, 'invalid_token'])
  expect(outcomeOf(await confirm(t, { code }, bearer(stranger)))).toEqual([401, 'invalid_token'])
  expect(outcomeOf(await confirm(t, { token }))).toEqual([400, 'invalid_code'])
  expect(await addressOf(t, stranger.userId)).toMatchObject({ email: ADA })
  expect((await t.login({ email: ADA, password: OWNER })).statusCode).toBe(200)
})
