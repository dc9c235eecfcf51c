import { afterAll, expect, test } from 'vitest'
import { advanceKeys } from '../../src/keys/keys.ts'
import { rotateKeys } from '../../src/keys/operator.ts'
import { prune } from '../../src/prune.ts'
import { pruneVerifiers } from '../../src/revocations/receipts/pruning.ts'
import { MOST_INSTANCES, type Receipt, takeReceipt } from '../../src/revocations/receipts/receipts.ts'
import { listVerifiers } from '../../src/revocations/receipts/verifiers.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import { byOperator } from '../support/operation.ts'

const DAY = 86_400
const EPOCH = 'e'.repeat(22)

const receipt = (facts: Partial<Receipt> = {}): Receipt => ({
  instance: 'one',
  epoch: EPOCH,
  seq: 1,
  kids: [],
  ...facts,
})
const rows = async (t: TestApp) => await t.db.selectFrom('verifiers').selectAll().orderBy('instance').execute()

/** Its tests share a database and a clock that only goes forward, each with a client of its own. */
const t = await createTestApp()
afterAll(() => t[Symbol.asyncDispose]())

test('a report takes the place of the last one, once a second at most', async () => {
  const { clientId } = await addServiceClient(t)
  const mine = async () => (await rows(t)).filter((row) => row.client_id === clientId).map(({ seq }) => Number(seq))
  const begun = t.deps.clock().getTime()
  const report = (facts: Partial<Receipt>, milliseconds: number) =>
    takeReceipt({ db: t.deps.db, clock: () => new Date(begun + milliseconds) }, clientId, receipt(facts))
  await report({ seq: 1 }, 0)
  await report({ seq: 2 }, 999)
  expect(await mine()).toEqual([1])
  await report({ seq: 3 }, 1000)
  expect(await mine()).toEqual([3])
  await report({ instance: 'two', seq: 4 }, 1000)
  expect(await mine()).toEqual([3, 4])
})

test('of a client so many instances stay, those that reported last, and others lose none', async () => {
  const [crowd, other] = [await addServiceClient(t), await addServiceClient(t)]
  await takeReceipt(t.deps, other.clientId, receipt({ instance: 'oldest of all' }))
  const number = (index: number) => String(index).padStart(3, '0')
  for (let i = 0; i < MOST_INSTANCES + 3; i++) {
    t.travel(0.01)
    await takeReceipt(t.deps, crowd.clientId, receipt({ instance: number(i) }))
  }
  const kept = (await rows(t)).filter((row) => row.client_id === crowd.clientId).map(({ instance }) => instance)
  expect(kept).toEqual(Array.from({ length: MOST_INSTANCES }, (_, index) => number(index + 3)))
  expect((await rows(t)).some((row) => row.client_id === other.clientId)).toBe(true)
})

test('instances that push each other out do not wait for one another', async () => {
  const { clientId } = await addServiceClient(t)
  const report = (instance: string) => takeReceipt(t.deps, clientId, receipt({ instance }))
  const mine = () => t.db.selectFrom('verifiers').select('instance').where('client_id', '=', clientId)
  await report('oldest')
  t.travel(1)
  await Promise.all(Array.from({ length: MOST_INSTANCES - 1 }, (_, index) => report(`${index}`)))
  t.travel(1)
  await t.db.transaction().execute(async (tx) => {
    // As its own report does, at the same time.
    await tx.selectFrom('verifiers').select('instance').where('instance', '=', 'oldest').forUpdate().execute()
    await report('newest')
  })
  expect(await mine().execute()).toHaveLength(MOST_INSTANCES + 1)
  await report('another')
  expect(await mine().execute()).toHaveLength(MOST_INSTANCES)
  expect(await mine().where('instance', '=', 'oldest').execute()).toEqual([])
})

test('a report counts for a day, and is pruned then', async () => {
  const { clientId } = await addServiceClient(t)
  await takeReceipt(t.deps, clientId, receipt())
  const listed = async () =>
    (await listVerifiers(t.db, t.deps.clock())).verifiers.filter((each) => each.clientId === clientId)
  t.travel(DAY - 5)
  expect(await listed()).toMatchObject([{ state: 'gone' }])
  t.travel(6)
  expect(await listed()).toEqual([])
  await prune(t.deps, [pruneVerifiers])
  expect(await rows(t)).toEqual([])
})

test('services that are disabled are not listed', async () => {
  const { clientId } = await addServiceClient(t)
  await takeReceipt(t.deps, clientId, receipt())
  expect((await listVerifiers(t.db, t.deps.clock())).verifiers).toHaveLength(1)
  await t.db.updateTable('clients').set({ disabled_at: t.deps.clock() }).where('id', '=', clientId).execute()
  expect((await listVerifiers(t.db, t.deps.clock())).verifiers).toEqual([])
})

/** A server whose next key is due in an hour, and a service whose instances hold what they are told. */
async function beforeRotation() {
  const lab = await createTestApp()
  const { clientId } = await addServiceClient(lab)
  const [{ kid: old } = { kid: '' }] = await lab.db.selectFrom('signing_keys').select('kid').execute()
  const rotation = await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: false })
  if (rotation.outcome !== 'scheduled') throw new Error(rotation.outcome)
  lab.travel(DAY - 3600)
  const signer = async () => {
    await advanceKeys(lab.deps)
    const keys = await lab.db.selectFrom('signing_keys').select('kid').where('state', '=', 'active').execute()
    return keys[0]?.kid
  }
  const report = (instance: string, kids: string[], of = clientId) =>
    takeReceipt(lab.deps, of, receipt({ instance, kids }))
  return {
    lab,
    clientId,
    old,
    next: rotation.next,
    signer,
    report,
    [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
  }
}

test('a planned rotation waits until every instance has the key', async () => {
  await using r = await beforeRotation()
  await r.report('one', [r.old, r.next])
  await r.report('two', [r.old])
  r.lab.travel(3600)
  expect(await r.signer()).toBe(r.old)
  await r.report('two', [r.old, r.next])
  expect(await r.signer()).toBe(r.next)
})

test('it waits for one day, whatever somebody says', async () => {
  await using r = await beforeRotation()
  r.lab.travel(3600)
  const waited = async (hours: number) => {
    r.lab.travel(hours * 3600)
    for (let i = 0; i < 3; i++) await r.report(`liar ${i}`, [])
    return await r.signer()
  }
  expect(await waited(0)).toBe(r.old)
  expect(await waited(23)).toBe(r.old)
  expect(await waited(1)).toBe(r.next)
})

test('it does not wait for a service that is disabled, nor for one that has not reported for a day', async () => {
  await using r = await beforeRotation()
  const another = await addServiceClient(r.lab)
  await r.report('one', [], another.clientId)
  r.lab.travel(3600)
  expect(await r.signer()).toBe(r.old)
  await r.lab.db
    .updateTable('clients')
    .set({ disabled_at: r.lab.deps.clock() })
    .where('id', '=', another.clientId)
    .execute()
  await r.report('two', [])
  r.lab.travel(3600)
  expect(await r.signer()).toBe(r.old)
  await r.lab.db
    .updateTable('verifiers')
    .set({ reported_at: new Date(0) })
    .execute()
  expect(await r.signer()).toBe(r.next)
})

test('a compromised key is replaced at once, whoever lacks the next one', async () => {
  await using r = await beforeRotation()
  await r.report('one', [r.old])
  r.lab.travel(3600)
  expect(await r.signer()).toBe(r.old)
  const rotation = await rotateKeys(r.lab.deps, byOperator(r.lab.deps), { compromised: true })
  expect(rotation).toMatchObject({ outcome: 'replaced', active: r.next, removed: [r.old] })
})
