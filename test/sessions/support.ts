import { createPrivateKey, type KeyObject } from 'node:crypto'
import type { LightMyRequestResponse } from 'fastify'
import { expect } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import type { Delivery } from '../../src/db/schema.ts'
import { open } from '../../src/keys/sealing.ts'
import { createTestApp, type RefreshOptions, refreshTokenOf, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { sidOf } from '../support/jwt.ts'

export const COOKIE = '__Host-refresh_token'
/** A page of the `web` client in the apps of startApp. */
export const PAGE = 'https://app.example.com'
export const FOREIGN = 'https://evil.example'

/** One user with as many sessions as the tests of a file want. */
export async function startApp(env: Record<string, string> = {}): Promise<TestApp> {
  return await createTestApp({ env: { ALLOWED_ORIGINS: PAGE, SESSIONS_PER_USER: '1000', ...env } })
}

export interface User {
  id: string
  email: string
  password: string
}

let users = 0

export async function register(t: TestApp, password = TEST_PASSWORD): Promise<User> {
  const email = `session-${++users}@example.com`
  const answer = await t.register(email, password)
  expect(answer.statusCode).toBe(201)
  return { id: answer.json().user.id, email, password }
}

export interface SignedIn {
  delivery: Delivery
  /** The refresh token. */
  token: string
  accessToken: string
  sid: string
  answer: LightMyRequestResponse
}

export async function signIn(
  t: TestApp,
  user: User,
  delivery: Delivery = 'body',
  body: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): Promise<SignedIn> {
  const { email, password } = user
  const client_id = delivery === 'cookie' ? 'web' : 'native'
  const answer = await t.login({ email, password, client_id, ...body }, headers)
  expect(answer.statusCode).toBe(200)
  const accessToken = answer.json().access_token as string
  return { delivery, token: refreshTokenOf(answer), accessToken, sid: sidOf(accessToken), answer }
}

export interface Sent {
  body?: unknown
  /** Value of the refresh cookie. */
  cookie?: string
  headers?: Record<string, string>
}

export function post(t: TestApp, url: string, { body, cookie, headers = {} }: Sent = {}) {
  return t.inject({
    method: 'POST',
    url,
    headers: {
      ...(cookie === undefined ? {} : { cookie: `${COOKIE}=${cookie}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
  })
}

/** From where the token travels, as the issuer's own page sends it where that is the cookie. */
export function refresh(t: TestApp, delivery: Delivery, token: string, options: Omit<RefreshOptions, 'via'> = {}) {
  return t.refresh(token, { ...options, via: delivery })
}

export function logout(t: TestApp, delivery: Delivery, token: string) {
  return delivery === 'body'
    ? post(t, '/logout', { body: { refresh_token: token } })
    : post(t, '/logout', { cookie: token, headers: { origin: ownOrigin(t) } })
}

export function ownOrigin(t: TestApp): string {
  return new URL(t.config.ISSUER).origin
}

/** @returns the refresh token of an answer that must be 200. */
export function granted(answer: LightMyRequestResponse): string {
  expect([answer.statusCode, answer.json().code]).toEqual([200, undefined])
  return refreshTokenOf(answer)
}

/** The refusal that every dead token gets. It leaves the cookie alone. */
export function expectRefused(answer: LightMyRequestResponse): void {
  expect([answer.statusCode, answer.json().code]).toEqual([401, 'invalid_grant'])
  expect(answer.headers['set-cookie']).toBeUndefined()
}

export function bearer(t: TestApp, accessToken: string, url = '/me', method: 'GET' | 'DELETE' = 'GET') {
  return t.inject({ method, url, headers: { authorization: `Bearer ${accessToken}` } })
}

export async function family(t: TestApp, sid: string) {
  return await t.db.selectFrom('families').selectAll().where('id', '=', sid).executeTakeFirstOrThrow()
}

export async function isLive(t: TestApp, sid: string): Promise<boolean> {
  return (await family(t, sid)).ended_at === null
}

/** Puts an older state of the row back, as a failover to a copy that lacks the latest commits does. */
export async function restore(t: TestApp, row: Awaited<ReturnType<typeof family>>): Promise<void> {
  const { id, ...values } = row
  await t.db.updateTable('families').set(values).where('id', '=', id).execute()
}

/** What the trail says of one session but its sign-in. */
export async function trail(t: TestApp, sid: string) {
  const events = t.db.selectFrom('audit').selectAll().where('family_id', '=', sid)
  return await events.where('type', 'not in', ['login', 'login.new_device']).orderBy('type').orderBy('reason').execute()
}

/** The same as `type reason`, in the order of the alphabet: events of one millisecond have no other. */
export async function eventsOf(t: TestApp, sid: string): Promise<string[]> {
  return (await trail(t, sid)).map(({ type, reason }) => (reason === null ? type : `${type} ${reason}`))
}

/** Stops the clock of the server, to the millisecond; the returned function moves it on by seconds. */
export function stopClock(t: TestApp): (seconds: number) => void {
  let now = Math.ceil(t.deps.clock().getTime() / 1000) * 1000
  t.deps.clock = () => new Date(now)
  return (seconds) => {
    now += seconds * 1000
  }
}

/** A database that nobody answers for. */
export function nowhere() {
  return connect({ url: 'postgres://nobody@127.0.0.1:1/nothing', size: 2 }).db
}

/** The server's own signing key: what a forger cannot have, for tokens that are wrong in one point only. */
export async function signingKey(t: TestApp): Promise<{ kid: string; privateKey: KeyObject }> {
  const row = await t.db.selectFrom('signing_keys').selectAll().where('state', '=', 'active').executeTakeFirstOrThrow()
  const { kid, sealed_private: sealed, sealed_by: sealedBy } = row
  if (!sealed || !sealedBy) throw new Error('an active key has its private half')
  const der = open(kid, { sealed, sealedBy }, t.deps.serverKeys)
  return { kid, privateKey: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }) }
}
