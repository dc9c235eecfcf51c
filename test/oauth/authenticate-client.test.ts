import { expect, test } from 'vitest'
import { rotateSecret, type SecretRotation, setClientEnabled } from '../../src/clients/change.ts'
import type { ServiceAuth } from '../../src/clients/registration.ts'
import { pruneClientFailures } from '../../src/oauth/pruning.ts'
import { prune } from '../../src/prune.ts'
import { createTestApp } from '../support/app.ts'
import { noteSecret } from '../support/canary.ts'
import { addPublicClient, addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { byOperator } from '../support/operation.ts'
import { authenticate, basic } from './authentication.ts'

const t = forFile(await createTestApp())
const first = await addServiceClient(t)
const second = await addServiceClient(t)
const posting = await addServiceClient(t, { auth: { method: 'client_secret_post' } })
const UNKNOWN = 'cl_AAAAAAAAAAAAAAAAAAAAAA'

/** A new one for each test, so that no failure of one holds off another. */
let networks = 0
const network = () => `198.51.100.${++networks}`

test('a secret in the header proves its client', async () => {
  const authorization = basic(first.clientId, first.secret)
  expect((await authenticate(t, { authorization })).id).toBe(first.clientId)
  expect((await authenticate(t, { authorization: authorization.replace('Basic', 'bAsIc  ') })).id).toBe(first.clientId)
  const form = { client_id: first.clientId }
  expect((await authenticate(t, { authorization, form })).id).toBe(first.clientId)
})

test('both parts of the header are encoded as in a form', async () => {
  const escaped = [...`${first.clientId}:${first.secret}`].map((letter) =>
    letter === ':' ? letter : `%${letter.charCodeAt(0).toString(16)}`,
  )
  const authorization = `Basic ${Buffer.from(escaped.join('')).toString('base64')}`
  expect((await authenticate(t, { authorization })).id).toBe(first.clientId)
})

test('a secret in the form proves a client that is registered so, and no other', async () => {
  const form = { client_id: posting.clientId, client_secret: posting.secret }
  expect((await authenticate(t, { form })).id).toBe(posting.clientId)
  // RFC 6749 §2.3.1: the header is for everybody who has a secret.
  const authorization = basic(posting.clientId, posting.secret)
  expect((await authenticate(t, { authorization })).id).toBe(posting.clientId)
  const unregistered = { client_id: first.clientId, client_secret: first.secret }
  await expect(authenticate(t, { form: unregistered })).rejects.toMatchObject({ code: 'invalid_client' })
})

const base64 = (text: string | Buffer) => `Basic ${Buffer.from(text).toString('base64')}`
const keys: ServiceAuth = { method: 'private_key_jwt', jwksUri: 'https://keys.example.com/' }
const withKeys = await addServiceClient(t, { auth: keys })
const shop = await addPublicClient(t)

test.each<[string, Partial<Parameters<typeof authenticate>[1]>]>([
  ['nothing', {}],
  ['an id alone', { form: { client_id: first.clientId } }],
  ['the id of a client that there is not', { authorization: basic(UNKNOWN, first.secret) }],
  ['an id that is none of ours', { authorization: basic('web', first.secret) }],
  ['a registered client of people', { authorization: basic(shop.clientId, first.secret) }],
  ['the secret of another client', { authorization: basic(first.clientId, second.secret) }],
  ['a secret cut short', { authorization: basic(first.clientId, first.secret.slice(0, -1)) }],
  ['a secret with a blank', { authorization: basic(first.clientId, `${first.secret} `) }],
  ['no secret', { authorization: basic(first.clientId, '') }],
  ['no id', { authorization: basic('', first.secret) }],
  ['no colon', { authorization: base64(first.clientId) }],
  ['an escape cut short', { authorization: base64(`${first.clientId}:%4`) }],
  ['an escape of no UTF-8', { authorization: base64(`${first.clientId}:%ff`) }],
  ['no UTF-8', { authorization: base64(Buffer.from([0xff, 0x3a, 0x61])) }],
  ['no base64', { authorization: `Basic ${first.clientId}:${first.secret}` }],
  ['an empty header', { authorization: '' }],
  ['a bearer token', { authorization: `Bearer ${first.secret}` }],
  ['a secret in place of a key', { authorization: basic(withKeys.clientId, first.secret) }],
  ['a secret without an id', { form: { client_secret: first.secret } }],
])('%s proves nobody', async (_what, presented) => {
  await expect(authenticate(t, { ...presented, network: network() })).rejects.toMatchObject({
    code: 'invalid_client',
    detail: undefined,
  })
})

test.each<[string, Partial<Parameters<typeof authenticate>[1]>]>([
  ['header and form', { form: { client_id: posting.clientId, client_secret: posting.secret } }],
  ['header and assertion', { form: { client_assertion: 'a.b.c' } }],
  ['two ids', { form: { client_id: second.clientId } }],
])('%s are refused, whatever they prove', async (_what, presented) => {
  const authorization = basic(posting.clientId, posting.secret)
  await expect(authenticate(t, { authorization, ...presented })).rejects.toMatchObject({ code: 'invalid_request' })
})

test('the fifth failure running starts a back-off, which doubles, for that client and network alone', async () => {
  const { clientId, secret } = await addServiceClient(t)
  const here = { network: network() }
  const right = { authorization: basic(clientId, secret) }
  const wrong = { authorization: basic(clientId, second.secret) }
  const fail = () => expect(authenticate(t, { ...wrong, ...here })).rejects.toMatchObject({ code: 'invalid_client' })
  const heldOff = (retryAfter: number) =>
    expect(authenticate(t, { ...right, ...here })).rejects.toMatchObject({ code: 'too_many_requests', retryAfter })

  for (let i = 0; i < 5; i++) await fail()
  await heldOff(30)
  // A stranger must not lock a service out, nor its failures those who share its network.
  expect((await authenticate(t, { ...right, network: network() })).id).toBe(clientId)
  const others = { authorization: basic(first.clientId, first.secret) }
  expect((await authenticate(t, { ...others, ...here })).id).toBe(first.clientId)

  t.travel(30)
  await fail()
  await heldOff(60)
  t.travel(60)
  for (let i = 0; i < 8; i++) {
    await fail()
    t.travel(3600)
  }
  await fail()
  await heldOff(3600)
  t.travel(3600)
  expect((await authenticate(t, { ...right, ...here })).id).toBe(clientId)
  // Forgiven: it takes five again.
  for (let i = 0; i < 4; i++) await fail()
  expect((await authenticate(t, { ...right, ...here })).id).toBe(clientId)
})

/** Fails until it is held off, with the right secret too. */
async function lockOut({ clientId, secret }: { clientId: string; secret: string }, here: { network: string }) {
  const wrong = { authorization: basic(clientId, second.secret), ...here }
  for (let i = 0; i < 5; i++) await expect(authenticate(t, wrong)).rejects.toMatchObject({ code: 'invalid_client' })
  const right = { authorization: basic(clientId, secret), ...here }
  await expect(authenticate(t, right)).rejects.toMatchObject({ code: 'too_many_requests' })
}

test.each<SecretRotation>(['overlap', 'drop-all', 'finish'])(
  'an operator who rotates the secret (%s) ends the back-off of that client, and of no other',
  async (how) => {
    const [service, other] = [await addServiceClient(t), await addServiceClient(t)]
    const here = { network: network() }
    await lockOut(service, here)
    await lockOut(other, here)
    t.travel(1)
    const { secret = service.secret } = await rotateSecret(t.deps, byOperator(t.deps), { id: service.clientId, how })
    noteSecret(secret)
    expect((await authenticate(t, { authorization: basic(service.clientId, secret), ...here })).id).toBe(
      service.clientId,
    )
    const waiting = { authorization: basic(other.clientId, other.secret), ...here }
    await expect(authenticate(t, waiting)).rejects.toMatchObject({ code: 'too_many_requests' })
    // Guesses at the new one are held off as those at the old one were.
    await lockOut({ clientId: service.clientId, secret }, here)
  },
)

test('enabling a client ends the back-off that it had before, or while it was disabled', async () => {
  const service = await addServiceClient(t)
  const here = { network: network() }
  await lockOut(service, here)
  t.travel(1)
  await setClientEnabled(t.deps, byOperator(t.deps), { id: service.clientId, enabled: false })
  await lockOut(service, here)
  t.travel(1)
  await setClientEnabled(t.deps, byOperator(t.deps), { id: service.clientId, enabled: true })
  const right = { authorization: basic(service.clientId, service.secret), ...here }
  expect((await authenticate(t, right)).id).toBe(service.clientId)
})

test('ids that there are not are held off as those that there are', async () => {
  const here = { network: network(), authorization: basic(UNKNOWN, first.secret) }
  for (let i = 0; i < 5; i++)
    await expect(authenticate(t, here)).rejects.toMatchObject({ code: 'invalid_client', detail: undefined })
  await expect(authenticate(t, here)).rejects.toMatchObject({ code: 'too_many_requests', retryAfter: 30 })
})

test('what is kept of a failure names neither the client nor the network, and goes', async () => {
  const here = network()
  await authenticate(t, { network: here, authorization: basic(first.clientId, 'wrong') }).catch(() => {})
  const kept = () => t.db.selectFrom('client_failures').selectAll().execute()
  expect(JSON.stringify(await kept())).not.toContain(first.clientId)
  await prune(t.deps, [pruneClientFailures])
  expect((await kept()).length).toBeGreaterThan(0)
  t.travel(86_401)
  await prune(t.deps, [pruneClientFailures])
  expect(await kept()).toEqual([])
})

test('a failure spends from the limit of the address, and a success does not', async () => {
  let spent = 0
  const spendFailure = async () => void spent++
  const here = { network: network(), spendFailure }
  await authenticate(t, { ...here, authorization: basic(first.clientId, first.secret) })
  expect(spent).toBe(0)
  for (const authorization of [undefined, basic(UNKNOWN, 'wrong'), basic(first.clientId, 'wrong')])
    await authenticate(t, { ...here, authorization }).catch(() => {})
  expect(spent).toBe(3)
})

test('over the limit of the address no row is written', async () => {
  const count = async () => (await t.db.selectFrom('client_failures').selectAll().execute()).length
  const before = await count()
  const spendFailure = async () => {
    throw new Error('over the limit')
  }
  const here = { network: network(), authorization: basic(UNKNOWN, 'wrong'), spendFailure }
  await expect(authenticate(t, here)).rejects.toThrow('over the limit')
  expect(await count()).toBe(before)
})

test('an attempt that is held off spends a failure of the address too, and over that limit nothing is recorded', async () => {
  const service = await addServiceClient(t)
  const here = { network: network() }
  await lockOut(service, here)
  const heldOff = async () => {
    const rows = await t.db.selectFrom('audit').select('details').where('reason', '=', 'backoff').execute()
    return rows.length
  }
  const before = await heldOff()
  const spendFailure = async () => {
    throw new Error('over the limit')
  }
  const right = { authorization: basic(service.clientId, service.secret), ...here, spendFailure }
  await expect(authenticate(t, right)).rejects.toThrow('over the limit')
  expect(await heldOff()).toBe(before)
})

test('the log and the trail have the reason, and of an unknown id nothing', async () => {
  const typed = 'cvs1_typed-in-the-wrong-place'
  await authenticate(t, { network: network(), authorization: basic(typed, 'x') }).catch(() => {})
  const rows = await t.db.selectFrom('audit').selectAll().where('type', '=', 'client.authenticated').execute()
  expect(rows.map(({ reason }) => reason)).toContain('unknown_client')
  expect(JSON.stringify(rows)).not.toContain(typed)
})
