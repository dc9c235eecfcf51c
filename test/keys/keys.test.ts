import { randomBytes } from 'node:crypto'
import { createLocalJWKSet, jwtVerify } from 'jose'
import pg from 'pg'
import { expect, test, vi } from 'vitest'
import { deriveServerKeys } from '../../src/config/secrets.ts'
import { connect } from '../../src/db/connect.ts'
import { advanceKeys, type KeyService } from '../../src/keys/keys.ts'
import { generateKey } from '../../src/keys/material.ts'
import { importKey, rotateKeys } from '../../src/keys/operator.ts'
import { headerOf } from '../support/jwt.ts'
import { byOperator } from '../support/operation.ts'
import { DAY, HOUR, keyLab, kidsOf, MINUTE, publishedBy } from './support.ts'

const otherSecret = () => deriveServerKeys(randomBytes(32))

test('an empty database gets a key that signs at once', async () => {
  await using lab = await keyLab()
  const service = await lab.start()
  expect(service.keyring.ready()).toBe(true)
  expect(service.activeSince()).toEqual(lab.now())
  expect(await lab.keys()).toMatchObject([{ state: 'active', imported: false, compromised: false }])
  expect(await lab.events()).toEqual(['key.created by server', 'key.activated by server'])
})

test('replicas that start together on an empty database make one key', async () => {
  await using lab = await keyLab()
  const services = await Promise.all([lab.start(), lab.start(), lab.start()])
  expect(await lab.keys()).toHaveLength(1)
  expect(new Set(services.map((service) => kidsOf(service).join())).size).toBe(1)
  expect(services.every(({ keyring }) => keyring.ready())).toBe(true)
})

test('replicas that find a rotation due together make one key and activate it once', async () => {
  await using lab = await keyLab()
  await lab.start()
  lab.travel(89 * DAY)
  await lab.together([1, 2, 3].map(() => () => advanceKeys(lab.deps)))
  expect((await lab.keys()).map(({ state }) => state).toSorted()).toEqual(['active', 'next'])
  lab.travel(DAY)
  await lab.together([1, 2, 3].map(() => () => advanceKeys(lab.deps)))
  expect((await lab.keys()).map(({ state }) => state).toSorted()).toEqual(['active', 'retiring'])
  expect((await lab.events()).slice(2)).toEqual([
    'key.created by server',
    'key.retired by server',
    'key.activated by server',
  ])
})

test('200 days of daily work: no verifier meets an unknown key, and every token lives as long as it says', async () => {
  await using lab = await keyLab({ KEY_ROTATION_DAYS: '30', ACCESS_TOKEN_SECONDS: '3600' })
  const [one, two] = [await lab.start(), await lab.start()]
  let cache = { at: lab.now(), set: publishedBy(two) }
  const living: { token: string; until: number }[] = []
  const signers = new Set<string>()

  const verifyAll = async (): Promise<void> => {
    // A verifier that keeps a key set for ten minutes and never asks before.
    if (lab.now().getTime() - cache.at.getTime() >= 10 * MINUTE) cache = { at: lab.now(), set: publishedBy(two) }
    const keySet = createLocalJWKSet(cache.set)
    while (living[0] && living[0].until < lab.now().getTime()) living.shift()
    for (const { token } of living) {
      await jwtVerify(token, keySet, { algorithms: ['RS256'], currentDate: lab.now() })
    }
  }
  const issueFrom = async ({ keyring }: KeyService): Promise<void> => {
    const exp = Math.floor(lab.now().getTime() / 1000) + 3600
    const token = await keyring.sign('at+jwt', { exp })
    signers.add(headerOf(token).kid)
    living.push({ token, until: exp * 1000 - 1 })
  }

  const end = lab.now().getTime() + 200 * DAY
  while (lab.now().getTime() < end) {
    // Minutes in the first hour of the day, when everything happens, and then hours.
    const today = lab.now().getTime() % DAY
    lab.travel(today < HOUR ? 7 * MINUTE : Math.min(3 * HOUR, DAY - today))
    if ((await advanceKeys(lab.deps)).length > 0) {
      // The second replica hears of it later, and goes on signing with what it has.
      await one.reload()
      await issueFrom(two)
      await verifyAll()
      await two.reload()
    }
    await issueFrom(one)
    await issueFrom(two)
    await verifyAll()
  }
  expect(signers.size).toBe(7)
  const states = (await lab.keys()).map(({ state }) => state)
  expect(states.filter((state) => state === 'active')).toHaveLength(1)
  expect(states.filter((state) => state === 'removed').length).toBeGreaterThanOrEqual(5)
}, 120_000)

test('private keys are sealed at rest, and gone once the key is removed', async () => {
  await using lab = await keyLab()
  const service = await lab.start()
  const token = await service.keyring.sign('at+jwt', {})
  const [row] = await lab.keys()
  const dump = JSON.stringify(await lab.keys())
  expect(dump).not.toMatch(/"(d|p|q|dp|dq|qi)":/)
  // DER of PKCS #8 contains the identifier of rsaEncryption.
  expect(row?.sealed_private?.includes(Buffer.from('2a864886f70d010101', 'hex'))).toBe(false)
  expect(row?.sealed_by).toBe(lab.deps.serverKeys[0].fingerprint)

  await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: true })
  const removed = (await lab.keys()).find(({ kid }) => kid === headerOf(token).kid)
  expect(removed).toMatchObject({ state: 'removed', sealed_private: null, sealed_by: null })
})

test('a wrong secret stops the start, names the setting, and changes nothing', async () => {
  await using lab = await keyLab()
  await (await lab.start()).stop()
  const before = await lab.keys()
  lab.travel(100 * DAY)
  await expect(lab.start({ serverKeys: [otherSecret()] })).rejects.toThrow(/CLAVIGER_SECRET/)
  const wrong = { ...lab.deps, serverKeys: [otherSecret()] as const }
  await expect(rotateKeys(wrong, byOperator(wrong), { compromised: false })).rejects.toThrow(/CLAVIGER_SECRET/)
  await expect(rotateKeys(wrong, byOperator(wrong), { compromised: true })).rejects.toThrow(/CLAVIGER_SECRET/)
  expect(await advanceKeys(wrong)).toEqual([])
  expect(await lab.keys()).toEqual(before)
})

test('a new secret in front of the list seals the keys again, while servers go on', async () => {
  await using lab = await keyLab()
  const running = await lab.start()
  const published = running.keyring.jwks().body
  const fresh = otherSecret()
  const service = await lab.start({ serverKeys: [fresh, lab.deps.serverKeys[0]] })
  expect(await lab.keys()).toMatchObject([{ sealed_by: fresh.fingerprint }])
  expect(await lab.events()).toContain('key.resealed by server')
  expect(service.keyring.jwks().body).toEqual(published)

  await running.reload()
  expect(running.keyring.ready()).toBe(true)
  const only = await lab.start({ serverKeys: [fresh] })
  expect(headerOf(await only.keyring.sign('at+jwt', {})).kid).toBe(kidsOf(running)[0])
})

test('a key that somebody puts into the table is not published', async () => {
  await using lab = await keyLab()
  const service = await lab.start()
  const forged = await generateKey(2048)
  await lab.db
    .insertInto('signing_keys')
    .values({
      kid: forged.kid,
      state: 'retiring',
      public_jwk: JSON.stringify(forged.jwk),
      sealed_private: randomBytes(1200),
      sealed_by: lab.deps.serverKeys[0].fingerprint,
      created_at: lab.now(),
      activated_at: lab.now(),
      retired_at: lab.now(),
      removed_at: null,
    })
    .execute()
  await lab.db
    .updateTable('signing_keys')
    .set({ public_jwk: JSON.stringify(forged.jwk) })
    .execute()
  await service.reload()
  for (const replica of [service, await lab.start()]) {
    expect(kidsOf(replica)).not.toContain(forged.kid)
    expect(replica.keyring.publicKey(forged.kid)).toBeUndefined()
    expect(JSON.stringify(publishedBy(replica))).not.toContain(forged.jwk.n)
    expect(replica.keyring.ready()).toBe(true)
  }
})

test('other replicas adopt an emergency within seconds, without being told', async () => {
  await using lab = await keyLab()
  const service = await lab.start()
  const [old = ''] = kidsOf(service)
  await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: true })
  await vi.waitFor(() => expect(service.keyring.publicKey(old)).toBeUndefined(), { timeout: 8000, interval: 200 })
  expect(kidsOf(service)).toHaveLength(1)
})

test('goes on with the keys in memory while the database is gone, and recovers', async () => {
  await using lab = await keyLab()
  const { db } = connect({ url: lab.url, size: 2 })
  const service = await lab.start({ db })
  const before = service.keyring.jwks()
  const admin = new pg.Client({
    connectionString: Object.assign(new URL(lab.ownerUrl), { pathname: '/postgres' }).href,
  })
  await admin.connect()
  const name = new URL(lab.url).pathname.slice(1)
  await admin.query(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`)
  await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name])
  await expect(service.reload()).rejects.toThrow()
  expect(service.keyring.jwks()).toEqual(before)
  expect(headerOf(await service.keyring.sign('at+jwt', {})).kid).toBe(kidsOf(service)[0])
  await admin.query(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS true`)
  await admin.end()
  await service.reload()
  await service.stop()
  await db.destroy()
})

test('an imported key is published, and signs a day later', async () => {
  await using lab = await keyLab()
  const service = await lab.start()
  const [old] = kidsOf(service)
  const pem = (await generateKey(2048)).privateKey.export({ format: 'pem', type: 'pkcs1' })
  const { kid, state, activatesAt } = await importKey(lab.deps, byOperator(lab.deps), pem)
  expect(state).toBe('next')
  expect(activatesAt.getTime() - lab.now().getTime()).toBe(DAY)
  await service.reload()
  expect(kidsOf(service)).toEqual([old, kid])
  lab.travel(DAY)
  await advanceKeys(lab.deps)
  await service.reload()
  expect(headerOf(await service.keyring.sign('at+jwt', {})).kid).toBe(kid)
  expect(await lab.events()).toContain('key.imported by operator:ada')
})
