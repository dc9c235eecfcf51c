import type { LightMyRequestResponse } from 'fastify'
import { describe, expect, test } from 'vitest'
import { type KeyHolder, keyHolder } from '../sessions/key-holder.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { addPublicClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { statements } from '../users/support.ts'

// A proof in the header DPoP of POST /login binds the session to its key (RFC 9449).

const t = forFile(await createTestApp())
const { email, password } = await t.signUp()
const owner = keyHolder(t)

const signIn = (headers: Record<string, string>, body: Record<string, unknown> = {}) =>
  t.login({ email, password, ...body }, headers)
const codeOf = (answer: LightMyRequestResponse): [number, unknown] => [answer.statusCode, answer.json().code]

/** How many sessions have begun. */
async function sessionsIn(app: TestApp): Promise<number> {
  return (await app.db.selectFrom('families').select('id').execute()).length
}

test('a proof that has been used is refused, and starts no second session', async () => {
  const headers = owner.proof('/login')
  expect((await signIn(headers)).json().token_type).toBe('DPoP')
  const before = await sessionsIn(t)
  expect(codeOf(await signIn(headers))).toEqual([400, 'invalid_dpop_proof'])
  expect(await sessionsIn(t)).toBe(before)
})

test.each<[string, (holder: KeyHolder) => Record<string, string>]>([
  ['for another endpoint', (holder) => holder.proof('/refresh')],
  ['too old', (holder) => holder.proof('/login', { iat: t.deps.clock().getTime() / 1000 - 120 })],
])('a proof %s is refused before anything is looked up', async (_name, headers) => {
  const asked = await statements(t, async () => {
    expect(codeOf(await signIn(headers(owner)))).toEqual([400, 'invalid_dpop_proof'])
  })
  expect(asked).toEqual([])
})

test('a wrong password is refused as ever, with a proof or without, and leaves no session', async () => {
  const before = await sessionsIn(t)
  const wrong = { password: 'not the right phrase' }
  expect(codeOf(await signIn(owner.proof('/login'), wrong))).toEqual([401, 'invalid_credentials'])
  expect(await sessionsIn(t)).toBe(before)
})

describe('where nonces are required', () => {
  test('a sign-in takes one from the limit and not two: the first answer only hands out the nonce', async () => {
    await using app = await createTestApp({ env: { DPOP_NONCE: 'required', RATE_LIMIT_LOGIN_PER_MINUTE: '3' } })
    // The first of the three.
    const { email: address, password: secret } = await app.signUp()
    const credentials = { email: address, password: secret }
    const holder = keyHolder(app)
    for (let i = 0; i < 2; i++) {
      const first = await app.login(credentials, holder.proof('/login'))
      expect(codeOf(first)).toEqual([400, 'use_dpop_nonce'])
      const nonce = String(first.headers['dpop-nonce'])
      const second = await app.login(credentials, holder.proof('/login', { nonce }))
      expect([second.statusCode, second.json().token_type]).toEqual([200, 'DPoP'])
    }
    const { statusCode } = await app.login(credentials, holder.freshProof('/login'))
    expect(statusCode).toBe(429)
  })

  test('a session that is not bound needs none', async () => {
    await using app = await createTestApp({ join: t, env: { DPOP_NONCE: 'required' } })
    const answer = await app.login({ email, password })
    expect([answer.statusCode, answer.json().token_type]).toEqual([200, 'Bearer'])
  })
})

describe('a client with bound sessions alone', async () => {
  const { clientId } = await addPublicClient(t, { type: 'native', dpopRequired: true })

  test('signs nobody in without a proof, and the password is not looked at', async () => {
    const asked = await statements(t, async () => {
      expect(codeOf(await signIn({}, { client_id: clientId }))).toEqual([400, 'invalid_dpop_proof'])
    })
    expect(asked).toEqual([])
  })

  test('signs in with one', async () => {
    const answer = await signIn(owner.proof('/login'), { client_id: clientId })
    expect([answer.statusCode, answer.json().token_type]).toEqual([200, 'DPoP'])
  })
})
