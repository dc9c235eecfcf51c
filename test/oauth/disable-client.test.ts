import { expect, test } from 'vitest'
import { findRegistered } from '../../src/clients/list.ts'
import { setChangedAt } from '../../src/clients/queries.ts'
import { disableAndRemove, disableClient, enableClient } from '../../src/oauth/disable-client.ts'
import { family, register, signIn } from '../sessions/support.ts'
import { createTestApp } from '../support/app.ts'
import { addPublicClient, addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { waitForLocks } from '../support/lock-waits.ts'
import { byOperator } from '../support/operation.ts'
import { introspect, tokenFor } from './authentication.ts'

const t = forFile(await createTestApp())

const revoked = async () =>
  await t.db
    .selectFrom('revocations')
    .select(['kind', 'sid', 'sub', 'initiator', 'revoked_at'])
    .orderBy('revoked_at')
    .execute()

test('verifiers are told of a service, again once nobody can have read that it was enabled', async () => {
  const { clientId } = await addServiceClient(t)
  const before = await revoked()
  const operation = byOperator(t.deps)
  t.travel(1)
  expect(await disableClient(t.deps, operation, { id: clientId, type: 'service' })).toBe(0)
  const told = (await revoked()).slice(before.length)
  const entry = { kind: 'subject', sub: clientId, initiator: 'admin' }
  expect(told).toMatchObject([entry, entry])
  expect((told[1]?.revoked_at.getTime() ?? 0) - operation.now.getTime()).toBeGreaterThanOrEqual(1000)
})

test('a service that is enabled again at once gets tokens that are good, and those of before are not', async () => {
  const service = await addServiceClient(t)
  const token = async () => (await tokenFor(t, service)).json<{ access_token: string }>().access_token
  const isActive = async (asked: string) => (await introspect(t, service, { token: asked })).json().active
  const before = await token()
  // To the beginning of a second, so that all happens within it.
  t.travel(1 - (t.deps.clock().getTime() % 1000) / 1000)
  await disableClient(t.deps, byOperator(t.deps), { id: service.clientId, type: 'service' })
  const client = await findRegistered(t.deps, service.clientId)
  expect(await enableClient(t.deps, byOperator(t.deps), client)).toBe(true)
  expect([await isActive(before), await isActive(await token())]).toEqual([false, true])
})

test('a service that somebody disables while another one enables it stays disabled', async () => {
  const service = await addServiceClient(t)
  const named = { id: service.clientId, type: 'service' } as const
  await disableClient(t.deps, byOperator(t.deps), named)
  // To where the enable waits for no second to pass.
  t.travel(2)
  const client = await findRegistered(t.deps, service.clientId)
  const enabling = await t.db.transaction().execute(async (tx) => {
    await setChangedAt(tx, t.deps.clock(), service.clientId)
    // Caught at once, because it fails before anybody here awaits it.
    const outcome = enableClient(t.deps, byOperator(t.deps), client).catch((error: unknown) => error)
    await waitForLocks(t.db, 1)
    await disableClient(t.deps, byOperator(t.deps), named)
    return { outcome }
  })
  expect(await enabling.outcome).toMatchObject({ kind: 'conflict', message: expect.stringContaining('disabled again') })
  expect((await tokenFor(t, service)).statusCode).toBe(401)
  expect(await enableClient(t.deps, byOperator(t.deps), client)).toBe(true)
  expect((await tokenFor(t, service)).statusCode).toBe(200)
})

test('verifiers are told of each session of a client that people sign in with, however many', async () => {
  const { clientId } = await addPublicClient(t, { type: 'native' })
  const user = await register(t)
  const sessions = []
  for (let count = 0; count < 3; count++) sessions.push(await signIn(t, user, 'body', { client_id: clientId }))
  const before = await revoked()
  const client = await findRegistered(t.deps, clientId)
  expect(await disableAndRemove(t.deps, byOperator(t.deps), client)).toBe(3)
  const sids = (await revoked()).slice(before.length).map(({ sid }) => String(sid))
  expect(sids.toSorted()).toEqual(sessions.map(({ sid }) => sid).toSorted())
  for (const { sid } of sessions) expect(await family(t, sid)).toMatchObject({ end_cause: 'client_disabled' })
})

test.each<[string, () => Promise<{ clientId: string }>, 'service' | 'native']>([
  ['a service', () => addServiceClient(t, { accessTokenSeconds: 3600 }), 'service'],
  [
    'a client that people sign in with',
    () => addPublicClient(t, { type: 'native', accessTokenSeconds: 3600 }),
    'native',
  ],
])('what is revoked of %s that is removed at once stays listed as long as its tokens', async (_what, add, type) => {
  // What servers state of the longest lifetime, they state from now and then: the client came after that.
  await t.deps.feed.look()
  const unknown = { longest_seconds: 600, longest_until: new Date(t.deps.clock().getTime() + 720_000) }
  await t.db.updateTable('revocation_feed').set(unknown).execute()
  await t.db.deleteFrom('revocations').execute()
  const { clientId } = await add()
  if (type === 'native') await signIn(t, await register(t), 'body', { client_id: clientId })
  await disableAndRemove(t.deps, byOperator(t.deps), { id: clientId, type })
  await t.deps.feed.look()
  const rows = await t.db.selectFrom('revocations').select(['revoked_at', 'expires_at']).execute()
  expect(rows).toHaveLength(type === 'native' ? 1 : 2)
  for (const { revoked_at, expires_at } of rows)
    expect(Number(expires_at) - revoked_at.getTime()).toBe((3600 + 60) * 1000)
})

test('more sessions than go into one transaction end all the same', async () => {
  const { clientId } = await addPublicClient(t, { type: 'native' })
  const { sid } = await signIn(t, await register(t), 'body', { client_id: clientId })
  const { id: _id, ...columns } = await family(t, sid)
  const copies = Array.from({ length: 450 }, () => ({ ...columns, id: crypto.randomUUID() }))
  await t.db.insertInto('families').values(copies).execute()
  expect(await disableClient(t.deps, byOperator(t.deps), { id: clientId, type: 'native' })).toBe(451)
})
