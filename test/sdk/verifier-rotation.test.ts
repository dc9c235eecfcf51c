import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { createVerifier, type VerificationError } from '../../sdk/verifier/src/index.ts'
import { buildVerifier } from '../../sdk/verifier/src/verifier.ts'
import { advanceKeys } from '../../src/keys/keys.ts'
import { rotateKeys } from '../../src/keys/operator.ts'
import { run } from '../cli/support.ts'
import { createTestApp, testEnvironment } from '../support/app.ts'
import { createHonestClient, signUpOver } from '../support/honest-client.ts'
import { headerOf } from '../support/jwt.ts'
import { byOperator } from '../support/operation.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { freePort, startServer } from '../support/server.ts'
import { checkOf, fakeTime, HOUR, MINUTE, SECOND } from './verifier-support.ts'

test('a verifier that runs through two planned rotations sees no failure, and asks no more than it should', async () => {
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  await using t = await createTestApp({ env: { ISSUER: issuer, AUDIENCE: 'orders' } })
  await t.app.listen({ host: '127.0.0.1', port })
  const { around, travel } = fakeTime()
  const errors: VerificationError[] = []
  let requests = 0
  const verify = buildVerifier(
    {
      issuer,
      audience: 'orders',
      now: () => t.deps.clock().getTime(),
      onRefreshError: (error) => errors.push(error),
      fetch: (url, init) => {
        requests++
        return fetch(url, init)
      },
    },
    { monotonic: around.monotonic, after: around.after },
  )

  let { refreshToken, accessToken } = await t.signUp()
  const kids = new Set<string>()
  let steps = 0
  const step = async (): Promise<void> => {
    const last = accessToken
    const answer = await t.refresh(refreshToken)
    ;({ access_token: accessToken, refresh_token: refreshToken } = answer.json())
    // The new token, and the one that is about to expire.
    expect(await checkOf(verify(accessToken))).toBe('ok')
    expect(await checkOf(verify(last))).toBe('ok')
    kids.add(headerOf(accessToken).kid)
    steps++
    t.travel(500)
    travel(500 * SECOND)
    await advanceKeys(t.deps)
    await t.keys.reload()
  }
  for (let rotation = 0; rotation < 2; rotation++) {
    expect((await rotateKeys(t.deps, byOperator(t.deps), { compromised: false })).outcome).toBe('scheduled')
    for (let at = 0; at < 50 * HOUR; at += 500 * SECOND) await step()
  }
  expect(kids.size).toBe(3)
  expect(errors).toEqual([])
  // Key set and metadata, each every four minutes or so; here time moves in steps of eight.
  expect(requests).toBeLessThanOrEqual(2 * steps + 4)
  const states = await t.db.selectFrom('signing_keys').select('state').execute()
  expect(states.map(({ state }) => state).toSorted()).toEqual(['active', 'removed', 'removed'])

  // The emergency: what the key that was withdrawn has signed is refused once the key set has been read.
  const stolen = accessToken
  await rotateKeys(t.deps, byOperator(t.deps), { compromised: true })
  await t.keys.reload()
  ;({ access_token: accessToken } = (await t.refresh(refreshToken)).json())
  expect(await checkOf(verify(accessToken)), 'the new key is found by its first token').toBe('ok')
  expect(await checkOf(verify(stolen))).toBe('kid')
  expect(await checkOf(createVerifier({ issuer, audience: 'orders' })(stolen)).catch(String)).not.toBe('ok')
}, 120_000)

test('a rotation by the command line, SIGKILL and restarts: a verifier that runs throughout sees no failure', async () => {
  const database = await cloneDatabase()
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const env = {
    PORT: String(port),
    ISSUER: issuer,
    AUDIENCE: 'orders',
    CLAVIGER_SECRET: randomBytes(32).toString('base64'),
  }
  const query = new pg.Client({ connectionString: database.url })
  await query.connect()
  let server = await startServer({ databaseUrl: database.url, env })
  // Its keys age two hundred times as fast: five minutes are a second and a half.
  const pace = 200
  const errors: VerificationError[] = []
  const verify = buildVerifier(
    { issuer, audience: 'orders', onRefreshError: (error) => errors.push(error) },
    {
      monotonic: () => performance.now() * pace,
      after: (milliseconds, work) => {
        const timer = setTimeout(work, milliseconds / pace).unref()
        return () => clearTimeout(timer)
      },
    },
  )
  try {
    const { tokens } = await signUpOver(server.url, 1)
    const [one] = tokens
    if (!one) throw new Error('nobody signed up')
    const client = createHonestClient({ ...one, server: () => issuer })
    const outcomes = new Map<string, number>()
    const kids = new Set<string>()
    let over = false
    const verifying = (async () => {
      while (!over) {
        const outcome = await checkOf(verify(client.accessToken))
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        await sleep(5)
      }
    })()
    const refreshing = (async () => {
      while (!over) {
        await client.refresh()
        kids.add(headerOf(client.accessToken).kid)
        await sleep(50)
      }
    })()

    await sleep(1000)
    const rotated = await run(['keys', 'rotate'], { env: { ...testEnvironment(database.url), ...env } })
    expect(rotated.code, rotated.err).toBe(0)
    // The server adopts what it finds within five seconds; the verifier reads it soon after.
    await sleep(7500)
    await server.kill()
    await sleep(1200)
    // A day later.
    await query.query(`UPDATE signing_keys SET created_at = created_at - interval '25 hours' WHERE state = 'next'`)
    server = await startServer({ databaseUrl: database.url, env })
    await sleep(1500)
    await server.stop()
    await sleep(800)
    server = await startServer({ databaseUrl: database.url, env })
    await sleep(1500)
    over = true
    await Promise.all([verifying, refreshing])

    expect([...outcomes.keys()]).toEqual(['ok'])
    expect(outcomes.get('ok')).toBeGreaterThan(300)
    expect(kids.size, 'the new key signs').toBe(2)
    expect(errors.length, 'the outage must have been felt').toBeGreaterThan(0)
    const { rows } = await query.query<{ state: string }>('SELECT state FROM signing_keys ORDER BY state')
    expect(rows.map(({ state }) => state)).toEqual(['active', 'retiring'])
  } finally {
    verify.close()
    await server.kill()
    await query.end()
    await database.drop()
  }
}, 120_000)

test('the three lines, against the real server', async () => {
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  await using t = await createTestApp({ env: { ISSUER: issuer, AUDIENCE: `orders,${issuer}` } })
  await t.app.listen({ host: 'localhost', port })
  const verify = createVerifier({ issuer, audience: 'orders' })
  const { accessToken, userId } = await t.signUp()
  const claims = await verify(accessToken)
  expect(claims).toMatchObject({ sub: userId, client_id: 'native', aud: 'orders', roles: [] })
  // Database gone: nothing that a verifier needs is in it.
  await t.db.destroy()
  await createVerifier({ issuer, audience: 'orders' })(accessToken)
  expect(await checkOf(createVerifier({ issuer, audience: 'billing' })(accessToken))).toBe('audience')
  const later = createVerifier({ issuer, audience: 'orders', now: () => Date.now() + 11 * MINUTE })
  expect(await checkOf(later(accessToken))).toBe('expired')
})
