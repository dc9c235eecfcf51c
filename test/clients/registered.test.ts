import { createHash, generateKeyPairSync } from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import { addClient } from '../../src/clients/add.ts'
import { hashSecret, matchSecret, mintSecret } from '../../src/clients/secrets.ts'
import { findServiceClient, noteSecretUsed } from '../../src/clients/service.ts'
import { createTestApp } from '../support/app.ts'
import { addPublicClient, addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { byOperator } from '../support/operation.ts'

const t = forFile(await createTestApp({ env: { AUDIENCE: 'orders,billing', SCOPES: 'read,write' } }))
const find = (id: string, at = t.deps.clock()) => findServiceClient(t.deps, at, id)

describe('a service client', () => {
  test('has an id that is no user’s, no scope unless it is given some, and the audiences of the settings', async () => {
    const { clientId } = await addServiceClient(t, { name: 'reports' })
    expect(clientId).toMatch(/^cl_[A-Za-z0-9_-]{22}$/)
    expect(await find(clientId)).toMatchObject({
      id: clientId,
      name: 'reports',
      scopes: [],
      audiences: ['orders', 'billing'],
      accessTokenSeconds: t.config.ACCESS_TOKEN_SECONDS,
      auth: { method: 'client_secret_basic' },
    })
    // It is none that people sign in with.
    await t.clients.reload()
    expect(t.deps.clients.get(clientId)).toBeUndefined()
  })

  test('is found with its secret, of which only the hash is stored, for a year', async () => {
    const { clientId, secret } = await addServiceClient(t, { scopes: ['reports:write'], audiences: ['billing'] })
    const found = await find(clientId)
    expect(found).toMatchObject({ scopes: ['reports:write'], audiences: ['billing'] })
    expect(found?.secrets.map(({ hash }) => hash)).toEqual([hashSecret(secret)])
    const stored = await t.db.selectFrom('client_secrets').selectAll().where('client_id', '=', clientId).execute()
    expect(JSON.stringify(stored)).not.toContain(secret)
    const year = 365 * 86_400_000
    const { createdAt = new Date(0) } = found?.secrets[0] ?? {}
    expect((await find(clientId, new Date(createdAt.getTime() + year - 1)))?.secrets).toHaveLength(1)
    expect((await find(clientId, new Date(createdAt.getTime() + year)))?.secrets).toEqual([])
  })

  test('has its secret’s last use noted, but not at every use', async () => {
    const { clientId } = await addServiceClient(t)
    const used = async (seconds: number) => {
      const secret = (await find(clientId))?.secrets[0]
      if (!secret) throw new Error('no secret')
      await noteSecretUsed(t.deps, new Date(secret.createdAt.getTime() + seconds * 1000), secret)
      return ((await find(clientId))?.secrets[0]?.lastUsedAt?.getTime() ?? 0) - secret.createdAt.getTime()
    }
    expect([await used(5), await used(60), await used(65)]).toEqual([5000, 5000, 65_000])
  })

  test('is believed about its visitors only where it is registered so, which takes a secret in the header', async () => {
    const { clientId } = await addServiceClient(t, { statesVisitorAddress: true })
    expect(await find(clientId)).toMatchObject({ statesVisitorAddress: true })
    expect(await find((await addServiceClient(t)).clientId)).toMatchObject({ statesVisitorAddress: false })
    const auth = { method: 'client_secret_post' } as const
    await expect(addServiceClient(t, { statesVisitorAddress: true, auth })).rejects.toThrow(
      'goes with client_secret_basic',
    )
  })

  test('gets bound tokens alone where it is registered so', async () => {
    expect(await find((await addServiceClient(t, { dpopRequired: true })).clientId)).toMatchObject({
      dpopRequired: true,
    })
    expect(await find((await addServiceClient(t)).clientId)).toMatchObject({ dpopRequired: false })
  })

  test.each(['', 'web', 'native', 'cl_', 'cl_\0', `cl_${'a'.repeat(22)}`, '00000000-0000-4000-8000-000000000000'])(
    'is not found as %j',
    async (id) => expect(await find(id)).toBeUndefined(),
  )

  test('keeps how it proves itself', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }) }] }
    const workload = { issuer: 'https://ci.example', subject: 'repo:a/b', claims: { ref: 'main' } }
    for (const auth of [
      { method: 'client_secret_post' },
      { method: 'private_key_jwt', jwks },
      { method: 'private_key_jwt', jwksUri: 'https://app.example/keys' },
      { method: 'workload', ...workload, jwksUri: 'https://ci.example/keys' },
    ] as const) {
      const { clientId, secret } = await addServiceClient(t, { auth })
      expect((await find(clientId))?.auth).toEqual(auth)
      expect(secret !== '').toBe(auth.method === 'client_secret_post')
    }
  })
})

test('a secret is 256 random bits behind a prefix that scanners know, with a checksum', () => {
  const { text, hash } = mintSecret()
  expect(text).toMatch(/^cvs1_[A-Za-z0-9_-]{48}$/)
  const bytes = Buffer.from(text.slice(5), 'base64url')
  expect(bytes.subarray(32)).toEqual(createHash('sha256').update(bytes.subarray(0, 32)).digest().subarray(0, 4))
  const stored = { id: '1', hash, createdAt: new Date(), expiresAt: new Date(), lastUsedAt: null }
  expect(matchSecret([stored], text)).toBe(stored)
  expect(matchSecret([stored], mintSecret().text)).toBeUndefined()
  expect(matchSecret([], text)).toBeUndefined()
})

describe('a client that people sign in with', () => {
  test('has the account scope besides its own, and what it does not state is as the settings say', async () => {
    const { clientId } = await addPublicClient(t, {
      origins: ['https://shop.example'],
      scopes: ['cart'],
      sessionIdleSeconds: 60,
      accessTokenSeconds: 30,
    })
    const client = t.deps.clients.get(clientId)
    expect(client).toMatchObject({ type: 'browser', delivery: 'cookie', scopes: ['account', 'cart'] })
    expect(client?.audiences).toEqual(['orders', 'billing'])
    expect(client?.lifetimes).toEqual({
      sessionIdle: 60,
      sessionMax: t.config.SESSION_MAX_SECONDS,
      rememberIdle: t.config.REMEMBER_IDLE_SECONDS,
      rememberMax: t.config.REMEMBER_MAX_SECONDS,
      accessToken: 30,
    })
    expect(t.deps.clients.pages.has('https://shop.example')).toBe(true)
    expect(t.deps.clients.values().map(({ id }) => id)).toEqual(['web', 'native', clientId])
  })

  test('has bound sessions alone where it is registered so, which neither of those built in is', async () => {
    const bound = await addPublicClient(t, { type: 'native', dpopRequired: true })
    const other = await addPublicClient(t)
    const required = [bound.clientId, other.clientId, 'web', 'native'].map((id) => t.deps.clients.get(id)?.dpopRequired)
    expect(required).toEqual([true, false, false, false])
  })

  test('reaches another replica by itself within five seconds', async () => {
    await using replica = await createTestApp({ join: t })
    const { clientId } = await addPublicClient(t, { type: 'native' })
    await vi.waitFor(() => expect(replica.deps.clients.get(clientId)).toBeDefined(), { timeout: 5000, interval: 50 })
    expect(replica.deps.clients.get(clientId)).toMatchObject({ type: 'native', delivery: 'body' })
  })
})

test('no two clients have a name, whatever the case of its letters', async () => {
  await addServiceClient(t, { name: 'Orders' })
  const again = addClient(t.deps, byOperator(t.deps), { type: 'browser', name: 'orders' })
  await expect(again).rejects.toMatchObject({ kind: 'conflict', message: 'a client is called “orders” already' })
})
