import { expect, test } from 'vitest'
import { importKey, rotateKeys } from '../../src/keys/operator.ts'
import { bearer, register, signIn } from '../sessions/support.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { byOperator } from '../support/operation.ts'

/** What a backup holds of the keys. */
const backUp = (t: TestApp) => t.db.selectFrom('signing_keys').selectAll().execute()

async function restore(t: TestApp, rows: Awaited<ReturnType<typeof backUp>>): Promise<void> {
  await t.db.deleteFrom('signing_keys').execute()
  const values = rows.map((row) => ({ ...row, public_jwk: JSON.stringify(row.public_jwk) }))
  await t.db.insertInto('signing_keys').values(values).execute()
}

const published = async (t: TestApp): Promise<string[]> =>
  (await t.inject({ url: '/.well-known/jwks.json' })).json().keys.map(({ kid }: { kid: string }) => kid)

const warnings = (t: TestApp) => t.logs.filter(({ level }) => level === 'warn').map(({ msg, kids }) => [msg, kids])

test('a stolen key that a restore brings back is never published or believed, and is removed', async () => {
  await using t = await createTestApp()
  const backup = await backUp(t)
  const [stolen = ''] = backup.map(({ kid }) => kid)
  const { accessToken } = await signIn(t, await register(t))
  await rotateKeys(t.deps, byOperator(t.deps), { compromised: true })
  await restore(t, backup)

  await using restarted = await createTestApp({ join: t, env: { WITHDRAWN_KEYS: stolen } })
  const kids = await published(restarted)
  expect(kids).toHaveLength(1)
  expect(kids).not.toContain(stolen)
  expect((await bearer(restarted, accessToken)).statusCode).toBe(401)
  expect(warnings(restarted)).toEqual([
    ['a key that was withdrawn is back, as after a restore; it is removed', [stolen]],
  ])
  expect(
    await restarted.db
      .selectFrom('signing_keys')
      .select(['state', 'compromised'])
      .where('kid', '=', stolen)
      .executeTakeFirst(),
  ).toEqual({
    state: 'removed',
    compromised: true,
  })
  expect((await signIn(restarted, await register(restarted))).answer.statusCode).toBe(200)
})

test('nor while the server runs, before the schedule looks', async () => {
  await using t = await createTestApp()
  const backup = await backUp(t)
  const [stolen = ''] = backup.map(({ kid }) => kid)
  await rotateKeys(t.deps, byOperator(t.deps), { compromised: true })
  await using running = await createTestApp({ join: t, env: { WITHDRAWN_KEYS: stolen } })
  await restore(t, backup)
  await running.keys.reload()
  expect(await published(running)).toEqual([])
})

test('without the setting nobody can know: the start says which kids to name', async () => {
  await using t = await createTestApp()
  const [kid] = await published(t)
  await rotateKeys(t.deps, byOperator(t.deps), { compromised: true })
  await using restarted = await createTestApp({ join: t })
  expect(warnings(restarted)).toEqual([
    ['a restore would bring back compromised keys: put them into WITHDRAWN_KEYS', [kid]],
  ])
  await using told = await createTestApp({ join: t, env: { WITHDRAWN_KEYS: kid ?? '' } })
  expect(warnings(told)).toEqual([])
})

test('a withdrawn key cannot be imported', async () => {
  await using t = await createTestApp()
  const { generateKeyPairSync } = await import('node:crypto')
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
  const { kid } = await importKey(t.deps, byOperator(t.deps), pem)
  const config = { ...t.config, WITHDRAWN_KEYS: [kid] }
  await expect(importKey({ ...t.deps, config }, byOperator(t.deps), pem)).rejects.toThrow(
    `the key ${kid} is in WITHDRAWN_KEYS`,
  )
})

test.each([true, false])('an operator who rotates (compromised: %s) never rotates to it', async (compromised) => {
  await using t = await createTestApp()
  await rotateKeys(t.deps, byOperator(t.deps), { compromised: false })
  const backup = await backUp(t)
  const stolen = backup.find(({ state }) => state === 'next')?.kid ?? ''
  const config = { ...t.config, WITHDRAWN_KEYS: [stolen] }
  await restore(t, backup)
  const rotation = await rotateKeys({ ...t.deps, config }, byOperator(t.deps), { compromised })
  expect(rotation).toMatchObject({ outcome: compromised ? 'replaced' : 'scheduled' })
  expect(JSON.stringify(rotation)).not.toContain(stolen)
  expect((await backUp(t)).find(({ kid }) => kid === stolen)).toMatchObject({ state: 'removed', compromised: true })
})
