import { describe, expect, test } from 'vitest'
import { addClient } from '../../src/clients/add.ts'
import { removeClient, rotateSecret, type SecretRotation, setClientEnabled } from '../../src/clients/change.ts'
import { findClientBy, findRegistered, listClients } from '../../src/clients/list.ts'
import { holdClient } from '../../src/clients/registered.ts'
import { matchSecret } from '../../src/clients/secrets.ts'
import { findServiceClient } from '../../src/clients/service.ts'
import { createTestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { addPublicClient, addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { waitForLocks } from '../support/lock-waits.ts'
import { byOperator } from '../support/operation.ts'

const t = forFile(
  await createTestApp({ env: { ALLOWED_ORIGINS: 'https://app.example', NATIVE_ORIGINS: 'capacitor://localhost' } }),
)
const now = () => byOperator(t.deps)
const rotate = (id: string, how: SecretRotation = 'overlap') => rotateSecret(t.deps, now(), { id, how })
const counts = async (id: string, secret: string | undefined): Promise<boolean> =>
  matchSecret((await findServiceClient(t.deps, t.deps.clock(), id))?.secrets ?? [], secret ?? '') !== undefined

describe('secrets', () => {
  test('two overlap, a third is refused, and the newest alone counts in the end', async () => {
    const { clientId, secret: first } = await addServiceClient(t)
    const { secret: second, others } = await rotate(clientId)
    expect(others).toBe(1)
    expect([await counts(clientId, first), await counts(clientId, second)]).toEqual([true, true])
    await expect(rotate(clientId)).rejects.toMatchObject({
      kind: 'conflict',
      message: expect.stringContaining('two secrets'),
    })
    const { secret: third } = await rotate(clientId, 'drop-oldest')
    expect([await counts(clientId, first), await counts(clientId, second)]).toEqual([false, true])
    expect(await rotate(clientId, 'finish')).toEqual({ secret: undefined, others: 0 })
    expect([await counts(clientId, second), await counts(clientId, third)]).toEqual([false, true])
  })

  test('all others end when one has leaked', async () => {
    const { clientId, secret: first } = await addServiceClient(t)
    const { secret: second } = await rotate(clientId)
    const { secret: third } = await rotate(clientId, 'drop-all')
    const found = await Promise.all([first, second, third].map((secret) => counts(clientId, secret)))
    expect(found).toEqual([false, false, true])
  })

  test('one that has expired counts neither as a secret nor against a new one', async () => {
    const { clientId, secret } = await addServiceClient(t)
    await rotate(clientId)
    await t.db
      .updateTable('client_secrets')
      .set({ expires_at: t.deps.clock() })
      .where('client_id', '=', clientId)
      .execute()
    expect(await counts(clientId, secret)).toBe(false)
    await expect(rotate(clientId, 'finish')).rejects.toMatchObject({ kind: 'conflict' })
    const { secret: next, others } = await rotate(clientId)
    expect([others, await counts(clientId, next)]).toEqual([0, true])
  })

  test('never counts for another client', async () => {
    const [one, other] = [await addServiceClient(t), await addServiceClient(t)]
    expect(await counts(one.clientId, other.secret)).toBe(false)
  })

  test('however many operators rotate at once, two count at most', async () => {
    const { clientId } = await addServiceClient(t)
    const outcomes = await atOnce(6, () => rotate(clientId).catch((error: Error) => error))
    expect(outcomes.filter((each) => !(each instanceof Error))).toHaveLength(1)
    expect((await findServiceClient(t.deps, t.deps.clock(), clientId))?.secrets).toHaveLength(2)
  })

  test('are for services that prove themselves by one', async () => {
    const { clientId } = await addPublicClient(t)
    const { clientId: keyed } = await addServiceClient(t, {
      auth: { method: 'private_key_jwt', jwksUri: 'https://a.example/keys' },
    })
    for (const id of [clientId, keyed])
      await expect(rotate(id)).rejects.toMatchObject({
        kind: 'conflict',
        message: expect.stringContaining('by a secret'),
      })
    await expect(rotate(`cl_${'a'.repeat(22)}`)).rejects.toMatchObject({ kind: 'not_found' })
  })
})

describe('names', () => {
  test.each(['web', 'Native', 'WEB'])('%s is that of a built-in client', async (name) => {
    await expect(addClient(t.deps, now(), { type: 'service', name })).rejects.toMatchObject({ kind: 'conflict' })
  })

  test('of clients that are made at once with one name, one is', async () => {
    const outcomes = await atOnce(4, () =>
      addClient(t.deps, now(), { type: 'service', name: 'race' }).catch((error: Error) => error),
    )
    expect(outcomes.filter((each) => each instanceof Error)).toHaveLength(3)
  })

  test('find a client as its id does', async () => {
    const { clientId } = await addServiceClient(t, { name: 'Invoices' })
    expect((await findClientBy(t.deps, 'invoices')).id).toBe(clientId)
    expect((await findClientBy(t.deps, clientId)).name).toBe('Invoices')
    expect((await findClientBy(t.deps, 'web')).builtIn).toBe(true)
    for (const none of ['', 'x', '\0', '%', clientId.toLowerCase()])
      await expect(findClientBy(t.deps, none)).rejects.toMatchObject({ kind: 'not_found' })
    await expect(findRegistered(t.deps, 'native')).rejects.toMatchObject({ kind: 'conflict' })
    expect((await listClients(t.deps)).slice(0, 2).map(({ id }) => id)).toEqual(['web', 'native'])
  })
})

test.each([
  ['browser', 'capacitor://localhost', 'must begin with https'],
  ['native', 'https://app.example', 'an origin of a browser client'],
  ['native', t.config.ISSUER, 'an origin of a browser client'],
] as const)('a page never acts for both kinds: %s with %s', async (type, origin, message) => {
  const adding = addClient(t.deps, now(), { type, name: `clash ${origin}`, origins: [origin] })
  await expect(adding).rejects.toThrow(message)
})

test('a page of a registered client never acts for one of the other kind, not even while it is disabled', async () => {
  const origins = ['https://both.example']
  const { clientId } = await addPublicClient(t, { type: 'native', origins })
  await setClientEnabled(t.deps, now(), { id: clientId, enabled: false })
  await expect(addPublicClient(t, { origins })).rejects.toMatchObject({ kind: 'conflict' })
  await addPublicClient(t, { type: 'native', origins })
})

test('a disabled service is none, until it is enabled again; removed it is gone with its secrets', async () => {
  const { clientId, secret } = await addServiceClient(t)
  await setClientEnabled(t.deps, now(), { id: clientId, enabled: false })
  expect(await findServiceClient(t.deps, t.deps.clock(), clientId)).toBeUndefined()
  await setClientEnabled(t.deps, now(), { id: clientId, enabled: true })
  expect(await counts(clientId, secret)).toBe(true)
  await expect(removeClient(t.deps, now(), clientId)).rejects.toMatchObject({ kind: 'conflict' })
  await setClientEnabled(t.deps, now(), { id: clientId, enabled: false })
  await removeClient(t.deps, now(), clientId)
  expect(await t.db.selectFrom('client_secrets').select('id').where('client_id', '=', clientId).execute()).toEqual([])
})

test('disabling waits for the sign-ins that have seen the client enabled', async () => {
  const { clientId } = await addPublicClient(t)
  let disabling: Promise<boolean> | undefined
  await t.deps.db.transaction().execute(async (tx) => {
    expect(await holdClient(tx, { id: clientId })).toBe(true)
    disabling = setClientEnabled(t.deps, now(), { id: clientId, enabled: false })
    await waitForLocks(t.db, 1)
  })
  expect(await disabling).toBe(true)
  await t.deps.db.transaction().execute(async (tx) => expect(await holdClient(tx, { id: clientId })).toBe(false))
})

test('there are a hundred clients at most that people sign in with; services are not counted', async () => {
  await using crowded = await createTestApp()
  for (let count = 0; count < 100; count++)
    await addClient(crowded.deps, byOperator(crowded.deps), { type: 'native', name: `client ${count}` })
  await expect(addPublicClient(crowded)).rejects.toMatchObject({
    kind: 'conflict',
    message: expect.stringContaining('100'),
  })
  await addServiceClient(crowded)
})
