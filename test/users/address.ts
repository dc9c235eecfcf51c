import { expect } from 'vitest'
import { outcomeOf as outcome, post } from '../sign-in/mailbox.ts'
import { createTestApp, type SignedUp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { type Mailboxes, openMailboxes } from '../support/mailboxes.ts'

export { outcome, post }

export const OLD = 'ada@example.com'
export const NEW = 'countess@example.org'

export async function start(env: Record<string, string> = {}) {
  const t = await createTestApp({ env })
  return Object.assign(t, { mailboxes: openMailboxes(t), user: await t.signUp(OLD) })
}

/** The token of the newest link of a kind in a mailbox. */
export async function tokenTo(
  { mailboxes }: { mailboxes: Mailboxes },
  address: string,
  template: 'change-email' | 'email-changed' | 'reset-password',
): Promise<string> {
  return (await mailboxes.one(address, template)).token
}

export const addressOf = async (t: TestApp, id: string) =>
  await t.db.selectFrom('users').select(['email', 'email_verified']).where('id', '=', id).executeTakeFirstOrThrow()

export const signIn = (t: TestApp, email: string, password = TEST_PASSWORD) => t.login({ email, password })

type Bearer = Pick<SignedUp, 'accessToken'>

export const bearer = ({ accessToken }: Bearer) => ({ authorization: `Bearer ${accessToken}` })

export function ask(t: TestApp, user: Bearer, email: string, password = TEST_PASSWORD) {
  return post(t, '/email', { email, current_password: password }, bearer(user))
}

export const confirm = (t: TestApp, body: object, headers: Record<string, string> = {}) =>
  post(t, '/email/confirm', body, headers)

export const undo = (t: TestApp, token: string) => post(t, '/email/undo', { token })

/** Asks for an address and confirms it. @returns the token that takes the change back, from the mailbox of the old one. */
export async function move(
  t: TestApp,
  mailboxes: Mailboxes,
  user: Bearer,
  { from, to, password }: { from: string; to: string; password?: string },
): Promise<string> {
  expect(outcome(await ask(t, user, to, password))).toEqual([202, undefined])
  const { token } = await mailboxes.one(to, 'change-email')
  expect(outcome(await confirm(t, { token }))).toEqual([204, undefined])
  return (await mailboxes.one(from, 'email-changed')).token
}
