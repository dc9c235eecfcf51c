import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, test } from 'vitest'
import { findRegistered } from '../../src/clients/list.ts'
import { disableClient, enableClient } from '../../src/oauth/disable-client.ts'
import { askForToken, basic, JWT_BEARER } from '../oauth/authentication.ts'
import { newSigner, seconds } from '../oauth/signer.ts'
import { createTestApp } from '../support/app.ts'
import { addPublicClient, addServiceClient } from '../support/clients.ts'
import { byOperator } from '../support/operation.ts'

const PATH = '/.well-known/revocations/receipts'
const KID = 'k'.repeat(43)
const GOOD = { epoch: 'e'.repeat(22), seq: 412, kids: [KID], instance: 'web-1:812' }

const t = await createTestApp()
afterAll(() => t[Symbol.asyncDispose]())

const send = (authorization: string | undefined, body: unknown) =>
  t.inject({
    method: 'POST',
    url: PATH,
    headers: { 'content-type': 'application/json', ...(authorization ? { authorization } : {}) },
    payload: typeof body === 'string' ? body : JSON.stringify(body),
  })
const stored = (clientId: string) =>
  t.db.selectFrom('verifiers').selectAll().where('client_id', '=', clientId).execute()

test('a service reports with its own credentials, and under its own name alone', async () => {
  const [orders, stock] = [await addServiceClient(t), await addServiceClient(t)]
  const answer = await send(basic(orders.clientId, orders.secret), GOOD)
  expect([answer.statusCode, answer.body]).toEqual([204, ''])
  expect(answer.headers['cache-control']).toBe('no-store')
  expect(await stored(orders.clientId)).toMatchObject([
    { instance: 'web-1:812', epoch: GOOD.epoch, seq: '412', kids: [KID] },
  ])
  t.travel(2)
  expect((await send(basic(stock.clientId, stock.secret), { ...GOOD, seq: 0, kids: [] })).statusCode).toBe(204)
  expect(await stored(orders.clientId)).toMatchObject([{ seq: '412', kids: [KID] }])
  expect(await stored(stock.clientId)).toMatchObject([{ seq: '0', kids: [] }])
})

test('whoever is no service gets the same 401, and nothing is noted', async () => {
  const { clientId, secret } = await addServiceClient(t)
  const { accessToken } = await t.signUp()
  const disabled = await addServiceClient(t)
  await t.db.updateTable('clients').set({ disabled_at: new Date() }).where('id', '=', disabled.clientId).execute()
  const before = await t.db.selectFrom('verifiers').selectAll().execute()
  for (const authorization of [
    undefined,
    basic(clientId, `${secret}x`),
    basic('cl_'.padEnd(25, 'x'), secret),
    basic(disabled.clientId, disabled.secret),
    basic('web', ''),
    `Bearer ${accessToken}`,
  ]) {
    const answer = await send(authorization, GOOD)
    expect([answer.statusCode, answer.json()], authorization).toEqual([
      401,
      { error: 'invalid_client', error_description: 'The client could not be authenticated' },
    ])
    expect(answer.headers['www-authenticate']).toBe(`Basic realm="${t.config.ISSUER}"`)
  }
  expect(await t.db.selectFrom('verifiers').selectAll().execute()).toEqual(before)
})

describe('with an access token, for services that have no secret', () => {
  const FEED = `${t.config.ISSUER}/.well-known/revocations`
  const signer = newSigner()
  const addSigner = () => addServiceClient(t, { auth: { method: 'private_key_jwt', jwks: { keys: [signer.jwk] } } })
  const tokenOf = async (id: string, audience?: string) => {
    const own = { iss: id, sub: id, aud: t.config.ISSUER, exp: seconds(t.deps.clock) + 60, jti: randomUUID() }
    const proof = { client_assertion_type: JWT_BEARER, client_assertion: await signer.sign(own) }
    const answer = await askForToken(t, { grant_type: 'client_credentials', ...proof, ...(audience && { audience }) })
    return answer.json<{ access_token: string }>().access_token
  }
  const report = async (token: string) => (await send(`Bearer ${token}`, GOOD)).statusCode

  test('one for the feed reports under the name of its owner', async () => {
    const { clientId } = await addSigner()
    expect(await report(await tokenOf(clientId, FEED))).toBe(204)
    expect(await stored(clientId)).toMatchObject([{ instance: 'web-1:812', seq: '412' }])
  })

  test.each<[string, () => Promise<string>]>([
    ['for the issuer, as every service is sent it', async () => tokenOf((await addSigner()).clientId)],
    [
      'for the feed, and for somebody who is sent it besides',
      async () => tokenOf((await addSigner()).clientId, `${FEED} ${t.config.ISSUER}`),
    ],
    [
      'of a user',
      async () => {
        const { clientId } = await addPublicClient(t, { type: 'native', audiences: [FEED] })
        return (await t.signUp(undefined, undefined, { client_id: clientId })).accessToken
      },
    ],
    [
      'of a service that was disabled since, and enabled again',
      async () => {
        const { clientId } = await addSigner()
        const token = await tokenOf(clientId, FEED)
        await disableClient(t.deps, byOperator(t.deps), { id: clientId, type: 'service' })
        expect(await report(token)).toBe(401)
        await enableClient(t.deps, byOperator(t.deps), await findRegistered(t.deps, clientId))
        expect(await report(await tokenOf(clientId, FEED))).toBe(204)
        return token
      },
    ],
    [
      'that has expired',
      async () => {
        const token = await tokenOf((await addSigner()).clientId, FEED)
        t.travel(t.config.ACCESS_TOKEN_SECONDS)
        return token
      },
    ],
    ['that is none', async () => 'a.b.c'],
  ])('one %s is refused', async (_what, make) => {
    const answer = await send(`Bearer ${await make()}`, GOOD)
    expect([answer.statusCode, answer.json()]).toMatchObject([401, { error: 'invalid_client' }])
  })

  test('wrong ones use up the failures of an address', async () => {
    t.travel(120)
    const answers = []
    for (let i = 0; i < 61; i++) answers.push(await report('a.b.c'))
    expect([new Set(answers.slice(0, 60)), answers[60]]).toEqual([new Set([401]), 429])
    t.travel(120)
  })
})

test.each<[string, unknown]>([
  ['no epoch', { ...GOOD, epoch: undefined }],
  ['an epoch of another length', { ...GOOD, epoch: 'e'.repeat(23) }],
  ['a negative number', { ...GOOD, seq: -1 }],
  ['a number that JavaScript cannot tell from the next', { ...GOOD, seq: 2 ** 53 }],
  ['half a number', { ...GOOD, seq: 0.5 }],
  ['a number as text', { ...GOOD, seq: '412' }],
  ['more keys than anybody has', { ...GOOD, kids: Array.from({ length: 51 }, () => KID) }],
  ['a key of another length', { ...GOOD, kids: [`${KID}k`] }],
  ['no instance', { ...GOOD, instance: '' }],
  ['a name that is too long', { ...GOOD, instance: 'x'.repeat(101) }],
  ['a name that moves the cursor', { ...GOOD, instance: 'web\u001b[2J' }],
  ['a name beyond ASCII', { ...GOOD, instance: 'web\u202e1' }],
  ['a member that nobody knows', { ...GOOD, client_id: 'cl_other' }],
  ['no JSON', '{'],
])('%s is refused, and not noted', async (_what, body) => {
  const { clientId, secret } = await addServiceClient(t)
  const answer = await send(basic(clientId, secret), body)
  expect([answer.statusCode, answer.json().error]).toEqual([400, 'invalid_request'])
  expect(await stored(clientId)).toEqual([])
})

test('what is just allowed is taken', async () => {
  const { clientId, secret } = await addServiceClient(t)
  const most = { epoch: '-'.repeat(22), seq: Number.MAX_SAFE_INTEGER, kids: Array.from({ length: 50 }, () => KID) }
  expect((await send(basic(clientId, secret), { ...most, instance: '~'.repeat(100) })).statusCode).toBe(204)
  expect(await stored(clientId)).toMatchObject([{ seq: String(Number.MAX_SAFE_INTEGER) }])
})

test('guessing a secret here is held off as anywhere', async () => {
  const { clientId, secret } = await addServiceClient(t)
  for (let i = 0; i < 5; i++) await send(basic(clientId, 'wrong'), GOOD)
  const answer = await send(basic(clientId, secret), GOOD)
  expect(answer.statusCode).toBe(429)
  expect(answer.headers['retry-after']).toBeDefined()
})
