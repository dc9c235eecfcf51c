import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { createVerifier, type Verifier, type VerifierOptions } from '../../sdk/verifier/src/index.ts'
import { rotateKeys } from '../../src/keys/operator.ts'
import { endEverybody } from '../../src/sessions/end.ts'
import { disableUser } from '../../src/users/accounts.ts'
import { revokeSessions } from '../revocations/support.ts'
import { createTestApp, TEST_PASSWORD } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { byOperator } from '../support/operation.ts'
import { freePort } from '../support/server.ts'
import { eventually, settledAt } from './feed-support.ts'
import { checkOf } from './verifier-support.ts'

const port = await freePort()
const issuer = `http://127.0.0.1:${port}`
const t = forFile(await createTestApp({ env: { ISSUER: issuer, AUDIENCE: 'orders' } }))
await t.app.listen({ host: '127.0.0.1', port })

type Following = Verifier & Disposable

async function follow(options: Partial<VerifierOptions> = {}): Promise<Following> {
  const verify = createVerifier({ issuer, audience: 'orders', revocations: {}, ...options })
  await verify.ready()
  return Object.assign(verify, { [Symbol.dispose]: () => verify.close() })
}

async function streaming(): Promise<Following> {
  const verify = await follow()
  // The first list may be a second old.
  await settledAt(verify.revocations, ({ state, age = 9 }) => state === 'streaming' && age < 1.5, 10_000)
  return verify
}

/** A fetch for which there is no stream, as behind a proxy that has no time for one. */
const withoutStream: VerifierOptions['fetch'] = (url, init) =>
  url.endsWith('/stream') ? Promise.resolve(new Response(null, { status: 503 })) : fetch(url, init)

const withoutFeed: VerifierOptions['fetch'] = (url, init) =>
  url.includes('/revocations') ? Promise.reject(new Error('no way to the feed')) : fetch(url, init)

const logOut = (refreshToken: string) =>
  t.inject({
    method: 'POST',
    url: '/logout',
    headers: { 'content-type': 'application/json' },
    payload: JSON.stringify({ refresh_token: refreshToken }),
  })

const signInAgain = async (email: string): Promise<string> =>
  (await t.login({ email, password: TEST_PASSWORD })).json<{ access_token: string }>().access_token

describe('a verifier that follows the stream of a real server', () => {
  test('refuses the tokens of a session that has ended, and those alone', async () => {
    using verify = await streaming()
    const one = await t.signUp()
    const another = await signInAgain(one.email)
    expect(await checkOf(verify(one.accessToken))).toBe('ok')
    await logOut(one.refreshToken)
    await eventually(async () => expect(await checkOf(verify(one.accessToken))).toBe('revoked'))
    expect(await checkOf(verify(another))).toBe('ok')
    // One that starts later reads it from the list, which may be a second old and then shows to be behind.
    using later = await streaming()
    await eventually(async () => expect(await checkOf(later(one.accessToken))).toBe('revoked'), 5000)
    expect(await checkOf(later(another))).toBe('ok')
  })

  test('refuses those of a user who was disabled, whichever session they are of', async () => {
    using verify = await streaming()
    const user = await t.signUp()
    const another = await signInAgain(user.email)
    await disableUser(t.deps, byOperator(t.deps), user.userId)
    await eventually(async () => expect(await checkOf(verify(user.accessToken))).toBe('revoked'))
    expect(await checkOf(verify(another))).toBe('revoked')
  })

  test('reads what a burst has pushed out of the stream', async () => {
    using verify = await streaming()
    const { seq = 0 } = verify.revocations()
    const user = await t.signUp()
    await revokeSessions(t, 300)
    await logOut(user.refreshToken)
    await settledAt(verify.revocations, ({ seq: now = 0 }) => now >= seq + 301, 5000)
    expect(verify.revocations()).toMatchObject({ entries: verify.revocations().seq })
    expect(await checkOf(verify(user.accessToken))).toBe('revoked')
  })

  test('starts anew when the epoch changes, and forgets nothing', async () => {
    using verify = await streaming()
    const user = await t.signUp()
    await logOut(user.refreshToken)
    await eventually(async () => expect(await checkOf(verify(user.accessToken))).toBe('revoked'))
    const { epoch, entries } = verify.revocations()
    await sql`UPDATE revocation_feed SET incarnation = 'another database'`.execute(t.db)
    await settledAt(verify.revocations, (now) => now.epoch !== epoch, 10_000)
    expect(verify.revocations().entries).toBeGreaterThanOrEqual(entries)
    expect(await checkOf(verify(user.accessToken))).toBe('revoked')
    const next = await t.signUp()
    await logOut(next.refreshToken)
    await eventually(async () => expect(await checkOf(verify(next.accessToken))).toBe('revoked'))
  })
})

test('where there is no stream, it reads the list, and hears of a logout all the same', async () => {
  using verify = await follow({ fetch: withoutStream, revocations: { maxStaleness: '5s' } })
  const user = await t.signUp()
  expect(await checkOf(verify(user.accessToken))).toBe('ok')
  await logOut(user.refreshToken)
  await eventually(async () => expect(await checkOf(verify(user.accessToken))).toBe('revoked'), 10_000)
  expect(verify.revocations().state).toBe('polling')
})

test('reports what it holds, with the credentials of a service client', async () => {
  const { clientId: id, secret } = await addServiceClient(t)
  const user = await t.signUp()
  using verify = await follow({ client: { id, secret, instance: 'orders-7f9c' } })
  await logOut(user.refreshToken)
  await eventually(async () => expect(await checkOf(verify(user.accessToken))).toBe('revoked'))
  const { epoch, seq } = verify.revocations()
  const kids = (JSON.parse(t.deps.keyring.jwks().body.toString()) as { keys: { kid: string }[] }).keys
  await eventually(async () => {
    const rows = await t.db.selectFrom('verifiers').selectAll().where('client_id', '=', id).execute()
    expect(rows).toMatchObject([{ instance: 'orders-7f9c', epoch, kids: kids.map(({ kid }) => kid) }])
    expect(Number(rows[0]?.seq)).toBeGreaterThanOrEqual(Number(seq))
  }, 5000)
})

test('in the emergencies, no token of before is good, and the view stays fresh', async () => {
  using verify = await streaming()
  const user = await t.signUp()
  expect(await checkOf(verify(user.accessToken))).toBe('ok')
  await endEverybody(t.deps, byOperator(t.deps), { cause: 'operator' })
  await eventually(async () => expect(await checkOf(verify(user.accessToken))).toBe('revoked'))
  await sleep(1000)
  const next = await signInAgain(user.email)
  expect(await checkOf(verify(next))).toBe('ok')

  await rotateKeys(t.deps, byOperator(t.deps), { compromised: true })
  await t.keys.reload()
  // By the feed, or because the key set has been read again for what the next key has signed.
  await eventually(async () => expect(await checkOf(verify(next))).toMatch(/^(revoked|kid)$/))
  const fresh = await signInAgain(user.email)
  await eventually(async () => expect(await checkOf(verify(fresh))).toBe('ok'))
  const { age = 9 } = verify.revocations()
  await eventually(() => expect(verify.revocations().age).toBeLessThan(age), 5000)
})

test('where the feed cannot be heard, the issuer says of each token whether it is good', async () => {
  const { clientId: id, secret } = await addServiceClient(t)
  using verify = await follow({
    client: { id, secret },
    revocations: { onStale: 'introspect' },
    fetch: withoutFeed,
  })
  const user = await t.signUp()
  expect(await checkOf(verify(user.accessToken))).toBe('ok')
  await logOut(user.refreshToken)
  expect(await checkOf(verify(user.accessToken))).toBe('revoked')
  using stranger = await follow({
    client: { id, secret: 'cvs1_wrong' },
    revocations: { onStale: 'introspect' },
    fetch: withoutFeed,
  })
  expect(await checkOf(stranger(await signInAgain(user.email)))).toBe('stale')
})
