import type { LightMyRequestResponse } from 'fastify'
import { expect } from 'vitest'
import type { Mail } from '../../src/outbox/mail/mail.ts'
import { carryOut } from '../../src/sign-in/account-mail.ts'
import type { TestApp } from '../support/app.ts'
import { noteSecret } from '../support/canary.ts'

export function post(t: TestApp, url: string, payload: object, headers: Record<string, string> = {}) {
  return t.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/json', ...headers },
    payload: JSON.stringify(payload),
  })
}

export const forgot = (t: TestApp, email: string) => post(t, '/password/forgot', { email })

type Mailed = { token: string } | { email: string; code: string }

/** With the token if there is one, else with the code. */
export const reset = (t: TestApp, mailed: Mailed, new_password: string) =>
  post(t, '/password/reset', { ...stated(mailed), new_password })

export const resend = (t: TestApp, email: string) => post(t, '/email/resend', { email })

/** With the token if there is one, else with the code. */
export const verify = (t: TestApp, mailed: Mailed, password: string) =>
  post(t, '/email/verify', { ...stated(mailed), password })

function stated(mailed: Mailed): Mailed {
  return 'token' in mailed ? { token: mailed.token } : mailed
}

/** What carries a link, of the last mail. */
type Linked = Extract<Mail, { code: string }>

/** Asks for a mail and reads it. */
export async function mailedReset(t: TestApp, email: string): Promise<Linked> {
  expect((await forgot(t, email)).statusCode).toBe(202)
  return linked(await delivered(t), 'reset-password')
}

export async function mailedVerification(t: TestApp, email: string): Promise<Linked> {
  expect((await resend(t, email)).statusCode).toBe(202)
  return linked(await delivered(t), 'verify-email')
}

/** Registers where addresses have to be verified, and reads the mail. */
export async function registered(t: TestApp, email: string, password: string): Promise<Linked> {
  expect((await t.register(email, password)).statusCode).toBe(202)
  return linked(await delivered(t), 'verify-email')
}

/** Carries out what was asked. @returns the mails that it led to. */
export async function delivered(t: TestApp): Promise<Mail[]> {
  const mails: Mail[] = []
  await t.deliver({ account: carryOut(t.deps), mail: async (mail) => void mails.push(mail) })
  return mails
}

export function linked(mails: Mail[], template: Linked['template']): Linked {
  const [mail, another] = mails.filter((each) => each.template === template)
  if (!mail || another || !('code' in mail))
    throw new Error(`these are not one mail ${template}: ${JSON.stringify(mails)}`)
  noteSecret(mail.token)
  return mail
}

/** Another code of eight digits. */
export function wrongOf(code: string): string {
  return String((Number(code) + 1) % 100_000_000).padStart(8, '0')
}

export function outcomeOf(answer: LightMyRequestResponse): [number, string | undefined] {
  return [answer.statusCode, answer.body === '' ? undefined : answer.json<{ code?: string }>().code]
}
