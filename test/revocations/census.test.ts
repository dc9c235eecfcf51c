import { expect, test } from 'vitest'
import { countVerifiers } from '../../src/revocations/receipts/census.ts'
import { takeReceipt } from '../../src/revocations/receipts/receipts.ts'
import { createTestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'

test('instances are counted by how fresh they are, and not while they cannot be, which is said once', async () => {
  await using t = await createTestApp()
  const { clientId } = await addServiceClient(t)
  const epoch = 'e'.repeat(22)
  await t.db.updateTable('revocation_feed').set({ epoch, last_seq: '7' }).execute()
  for (const [instance, seq] of [
    ['one', 7],
    ['two', 7],
    ['liar', 8],
  ] as const)
    await takeReceipt(t.deps, clientId, { instance, epoch, seq, kids: [] })

  let broken = false
  let failures = 0
  const clock = () => {
    if (!broken) return t.deps.clock()
    failures++
    throw new Error('the database is away')
  }
  const counting = countVerifiers({ ...t.deps, clock }, () => true)
  const counted = async () => {
    const { values } = await t.deps.metrics.verifiers.get()
    return Object.fromEntries(values.map(({ labels, value }) => [labels.state, value]))
  }
  try {
    counting.hasten(0)
    await expect.poll(counted).toEqual({ current: 2, behind: 0, other_epoch: 0, ahead: 1, silent: 0, gone: 0 })
    broken = true
    counting.hasten(0)
    await expect.poll(counted).toEqual({})
    counting.hasten(0)
    await expect.poll(() => failures).toBe(2)
    broken = false
    counting.hasten(0)
    await expect.poll(counted).toMatchObject({ current: 2 })
    expect(t.logs.filter(({ msg }) => msg?.includes('counted')).map(({ level }) => level)).toEqual(['error', 'info'])
  } finally {
    await counting.stop()
  }
})
