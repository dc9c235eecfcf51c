import type { KyselyPlugin } from 'kysely'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { atOnce } from '../../support/at-once.ts'
import { forFile } from '../../support/for-file.ts'
import {
  bearer,
  expectRefused,
  family,
  granted,
  isLive,
  logout,
  nowhere,
  post,
  refresh,
  register,
  signIn,
  startApp,
  stopClock,
} from '../support.ts'

const t = forFile(await startApp())
const user = await register(t)

const without = ({ deps }: TestApp) => {
  const { db, refreshDb, rotationDb } = deps
  const dead = nowhere()
  deps.db = deps.refreshDb = deps.rotationDb = dead
  return async () => {
    Object.assign(deps, { db, refreshDb, rotationDb })
    await dead.destroy()
  }
}

describe('the limit per family', () => {
  test.each(['body', 'cookie'] as const)('answers 429 with Retry-After and uses up nothing (%s)', async (via) => {
    await using app = await startApp({ RATE_LIMIT_FAMILY_PER_MINUTE: '3' })
    const forward = stopClock(app)
    const someone = await register(app)
    const [session, other] = [await signIn(app, someone, via), await signIn(app, someone, via)]
    let { token } = session
    for (let i = 0; i < 3; i++) {
      forward(5)
      token = granted(await refresh(app, via, token))
    }
    const before = await family(app, session.sid)
    const answer = await refresh(app, via, token)
    expect([answer.statusCode, answer.json().code]).toEqual([429, 'too_many_requests'])
    expect(answer.headers['set-cookie']).toBeUndefined()
    const wait = Number(answer.headers['retry-after'])
    expect(wait).toBeGreaterThanOrEqual(1)
    expect(wait).toBeLessThanOrEqual(60)
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('ratelimit'))).toEqual([])
    expect(answer.json()['violated-policies']).toEqual([])
    expect(await family(app, session.sid)).toEqual(before)
    granted(await refresh(app, via, other.token))

    forward(wait - 1)
    expect((await refresh(app, via, token)).statusCode).toBe(429)
    forward(1)
    granted(await refresh(app, via, token))
  })

  test('gives retries as much again, so that one token cannot be redeemed without end', async () => {
    await using app = await startApp({ RATE_LIMIT_FAMILY_PER_MINUTE: '5' })
    const { token } = await signIn(app, await register(app))
    const answers = await atOnce(12, () => refresh(app, 'body', token))
    const [good, refused] = [200, 429].map((status) => answers.filter((answer) => answer.statusCode === status))
    // The rotation, and five retries of it.
    expect([good?.length, refused?.length]).toEqual([6, 6])
    for (const answer of refused ?? []) expect(answer.headers['retry-after']).toBe('1')
    const [successor = '', ...others] = new Set(good?.map(granted))
    expect(others).toEqual([])
    // Retries have taken nothing from what may be rotated.
    let next = successor
    for (let i = 0; i < 4; i++) next = granted(await refresh(app, 'body', next))
    expect((await refresh(app, 'body', next)).statusCode).toBe(429)
    app.travel(61)
    granted(await refresh(app, 'body', next))
  })

  test('refuses no retry of the last rotation that it allowed', async () => {
    await using app = await startApp({ RATE_LIMIT_FAMILY_PER_MINUTE: '3' })
    let { token } = await signIn(app, await register(app))
    for (let i = 0; i < 2; i++) token = granted(await refresh(app, 'body', token))
    const lost = granted(await refresh(app, 'body', token))
    expect(granted(await refresh(app, 'body', token))).toBe(lost)
  })

  test('hides no reuse', async () => {
    await using app = await startApp({ RATE_LIMIT_FAMILY_PER_MINUTE: '2' })
    const { token, sid } = await signIn(app, await register(app))
    const third = granted(await refresh(app, 'body', granted(await refresh(app, 'body', token))))
    expect((await refresh(app, 'body', third)).statusCode).toBe(429)
    expectRefused(await refresh(app, 'body', token))
    expect(await isLive(app, sid)).toBe(false)
  })

  test('is shared by the replicas', async () => {
    await using app = await startApp({ RATE_LIMIT_FAMILY_PER_MINUTE: '4' })
    await using replica = await createTestApp({ join: app })
    let { token } = await signIn(app, await register(app))
    for (const each of [app, replica, app, replica]) token = granted(await refresh(each, 'body', token))
    for (const each of [app, replica]) expect((await refresh(each, 'body', token)).statusCode).toBe(429)
  })
})

test('the limit per client address answers 429 with Retry-After and uses up nothing', async () => {
  await using app = await startApp({ RATE_LIMIT_REFRESH_PER_MINUTE: '2' })
  const { token, sid } = await signIn(app, await register(app), 'cookie')
  const third = granted(await refresh(app, 'cookie', granted(await refresh(app, 'cookie', token))))
  const answer = await refresh(app, 'cookie', third)
  expect([answer.statusCode, answer.json().code]).toEqual([429, 'too_many_requests'])
  expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(1)
  expect(answer.headers.ratelimit).toBe(`"refresh-ip";r=0;t=${answer.headers['retry-after']}`)
  expect(answer.headers['ratelimit-policy']).toBe('"refresh-ip";q=2;w=60')
  expect(answer.json()['violated-policies']).toEqual(['refresh-ip'])
  expect(answer.headers['set-cookie']).toBeUndefined()
  expect(await family(app, sid)).toMatchObject({ generation: 2, ended_at: null })
  app.travel(61)
  granted(await refresh(app, 'cookie', third))
})

describe('without the database', () => {
  test.each(['body', 'cookie'] as const)(
    'a refresh is 503 with Retry-After, and the token is good afterwards (%s)',
    async (via) => {
      const { token, sid } = await signIn(t, user, via)
      const before = await family(t, sid)
      const back = without(t)
      const answer = await refresh(t, via, token)
      await back()
      expect([answer.statusCode, answer.json().code]).toEqual([503, 'unavailable'])
      expect(answer.headers['retry-after']).toBe('1')
      expect(answer.headers['set-cookie']).toBeUndefined()
      expect(await family(t, sid)).toEqual(before)
      granted(await refresh(t, via, token))
    },
  )

  test('nothing is answered 401, and no logout is promised', async () => {
    const browser = await signIn(t, user, 'cookie')
    const native = await signIn(t, user)
    const back = without(t)
    const answers = [
      await refresh(t, 'cookie', browser.token),
      await logout(t, 'cookie', browser.token),
      await logout(t, 'body', native.token),
      await bearer(t, native.accessToken),
      await bearer(t, native.accessToken, '/sessions'),
      await bearer(t, native.accessToken, '/sessions', 'DELETE'),
      await bearer(t, native.accessToken, `/sessions/${native.sid}`, 'DELETE'),
      await post(t, '/login', { body: { email: user.email, password: user.password } }),
    ]
    await back()
    for (const answer of answers) {
      expect([answer.statusCode, answer.json().code]).toEqual([503, 'unavailable'])
      expect(answer.headers['retry-after']).toBe('1')
      // The cookie is all that a browser could sign out with later.
      expect(answer.headers['set-cookie']).toBeUndefined()
    }
    for (const { sid } of [browser, native]) expect(await isLive(t, sid)).toBe(true)
  })

  test('whose connections were cut and which lets nobody in: 503 and never 401, then all goes on', async () => {
    await using app = await startApp()
    const someone = await register(app)
    const sessions = [await signIn(app, someone, 'cookie'), await signIn(app, someone, 'body')]
    const url = new URL(app.database.ownerUrl)
    const name = url.pathname.slice(1)
    url.pathname = '/postgres'
    const admin = new pg.Client({ connectionString: url.href })
    await admin.connect()
    try {
      await admin.query(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`)
      await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name])
      for (const { delivery, token, accessToken } of sessions) {
        const answers = [
          await refresh(app, delivery, token),
          await bearer(app, accessToken),
          await logout(app, delivery, token),
        ]
        for (const answer of answers) {
          expect(answer.statusCode).toBe(503)
          expect(answer.headers['retry-after']).toBeDefined()
          expect(answer.headers['set-cookie']).toBeUndefined()
        }
      }
    } finally {
      await admin.query(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS true`)
      await admin.end()
    }
    for (const { delivery, token, sid } of sessions) {
      expect((await family(app, sid)).generation).toBe(0)
      granted(await refresh(app, delivery, token))
    }
  })
})

test('a lock that somebody holds for too long is 503, and the token is good afterwards', async () => {
  const { token, sid } = await signIn(t, user)
  const answer = await t.db.transaction().execute(async (tx) => {
    await tx.selectFrom('families').select('id').where('id', '=', sid).forUpdate().execute()
    return await refresh(t, 'body', token)
  })
  expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '1'])
  expect((await family(t, sid)).generation).toBe(0)
  granted(await refresh(t, 'body', token))
})

describe('a commit of which the client hears nothing', () => {
  /** The connection breaks when the first statement that changes something has been carried out. */
  const breakAfterwards = (): KyselyPlugin => {
    let broken = false
    return {
      transformQuery: ({ node }) => node,
      transformResult: async ({ result }) => {
        if (broken || result.rows.length === 0) return result
        broken = true
        throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
      },
    }
  }

  test.each([
    ['without a key', {}],
    ['with a key', { key: 'attempt-1' }],
  ])('is 503, and the retry within the grace gets the successor, %s', async (_name, options) => {
    const { token, sid } = await signIn(t, user)
    const { rotationDb } = t.deps
    t.deps.rotationDb = rotationDb.withPlugin(breakAfterwards())
    const answer = await refresh(t, 'body', token, options)
    t.deps.rotationDb = rotationDb
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '1'])
    expect((await family(t, sid)).generation).toBe(1)
    const successor = granted(await refresh(t, 'body', token, options))
    expect((await family(t, sid)).generation).toBe(1)
    granted(await refresh(t, 'body', successor))
  })
})

test('without a signing key a refresh is 503 and uses up nothing', async () => {
  await using app = await startApp()
  const { token, sid } = await signIn(app, await register(app), 'cookie')
  const keys = await app.db.selectFrom('signing_keys').selectAll().execute()
  await app.db.deleteFrom('signing_keys').execute()
  await app.keys.reload()
  const answer = await refresh(app, 'cookie', token)
  expect([answer.statusCode, answer.json().code]).toEqual([503, 'unavailable'])
  expect(answer.headers['retry-after']).toBeDefined()
  expect(answer.headers['set-cookie']).toBeUndefined()
  expect((await family(app, sid)).generation).toBe(0)
  await app.db
    .insertInto('signing_keys')
    .values(keys.map((key) => ({ ...key, public_jwk: JSON.stringify(key.public_jwk) })))
    .execute()
  await app.keys.reload()
  granted(await refresh(app, 'cookie', token))
})
