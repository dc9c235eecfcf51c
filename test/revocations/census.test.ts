import { expect, test } from 'vitest'
import { countVerifiers } from '../../src/revocations/receipts/census.ts'
import { takeReceipt } from '../../src/revocations/receipts/receipts.ts'
import { createTestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'

test('instances are counted by how fresh they are, and not while they cannot be', async () => {
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
  const clock = () => {
    if (broken) throw new Error('the database is away')
    return t.deps.clock()
  }
  const counting = countVerifiers({ ...t.deps, clock })
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
  } finally {
    await counting.stop()
  }
})
