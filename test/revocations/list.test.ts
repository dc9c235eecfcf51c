import { once } from 'node:events'
import { duplexPair } from 'node:stream'
import { describe, expect, test, vi } from 'vitest'
import { rotateKeys } from '../../src/keys/operator.ts'
import { createDocuments } from '../../src/revocations/documents.ts'
import { pruneRevocations } from '../../src/revocations/pruning.ts'
import { feedEndpoints } from '../../src/revocations/routes.ts'
import { createHttpApp } from '../http/support.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { addPublicClient } from '../support/clients.ts'
import { headerOf } from '../support/jwt.ts'
import { byOperator } from '../support/operation.ts'
import { LIST, type ListClaims, readList, revoke, revokeSessions, verified } from './support.ts'

const USER = '5e0c1f4e-8c52-4f55-b6c1-0d2f3a4b5c6d'
const SESSION = '9b2e7d10-1111-4222-8333-444455556666'
const get = (t: TestApp, query = '', headers = {}) => t.inject({ method: 'GET', url: LIST + query, headers })

test('names what was revoked, and until when that matters; what ends nothing only takes a number', async () => {
  await using t = await createTestApp()
  const at = Math.floor(t.deps.clock().getTime() / 1000)
  await revoke(t, { kind: 'session', sid: SESSION, userId: USER })
  await t.deps.feed.look()
  await revoke(t, { kind: 'credential', userId: USER })
  await t.deps.feed.look()
  await revoke(t, { kind: 'subject', sub: USER })
  await t.deps.feed.look()
  await revoke(t, { kind: 'all' })
  await t.deps.feed.look()
  const { iat, epoch, revocations, ...rest } = await readList(t)
  expect(rest).toEqual({ iss: t.config.ISSUER, after: 0, seq: 4, ttl: 2 })
  expect(epoch).toMatch(/^[\w-]{22}$/)
  expect(iat).toBeGreaterThanOrEqual(at)
  expect(iat).toBeLessThanOrEqual(t.deps.clock().getTime() / 1000)
  expect(revocations.map(({ revoked_at: _at, expires_at: _end, ...names }) => names)).toEqual([
    { seq: 1, sid: SESSION },
    { seq: 3, sub: USER },
    { seq: 4, all: true },
  ])
  for (const each of revocations) {
    expect(each.revoked_at).toBeGreaterThanOrEqual(at)
    // The longest access token, what verifiers allow for clocks, and nothing lost by rounding.
    expect([660, 661]).toContain(each.expires_at - each.revoked_at)
  }
})

test('is a document that anybody may read and keep for two seconds', async () => {
  await using t = await createTestApp()
  const answer = await get(t, '', { origin: 'https://anybody.example' })
  expect(answer.headers).toMatchObject({
    'content-type': 'application/revocations+jwt',
    'cache-control': 'public, max-age=2',
    'access-control-allow-origin': '*',
    etag: expect.stringMatching(/^"[\w-]{27}"$/),
  })
  expect(headerOf(answer.body)).toEqual({ alg: 'RS256', typ: 'revocations+jwt', kid: headerOf(answer.body).kid })
  const again = await get(t, '', { 'if-none-match': answer.headers.etag })
  expect([again.statusCode, again.body]).toEqual([304, ''])
  const head = await t.inject({ method: 'HEAD', url: LIST })
  expect([head.statusCode, head.body, head.headers.etag]).toEqual([200, '', answer.headers.etag])
})

test('cuts off whoever orders much of it and does not take it', async () => {
  await using t = await createTestApp()
  await revokeSessions(t, 1000)
  await t.deps.feed.look()
  await using served = await createHttpApp((app) => {
    const patience = { leastMs: 10, bytesPerMs: Number.POSITIVE_INFINITY }
    const { list } = feedEndpoints(app, t.deps, async () => ({ id: '' }), patience)
    app.get(LIST, { config: { access: 'public' }, handler: list.handler })
  })
  // A connection that takes what the other side reads, and nothing more.
  const [ours, theirs] = duplexPair({ highWaterMark: 1024 })
  served.app.server.emit('connection', theirs)
  ours.write(`GET ${LIST} HTTP/1.1\r\nHost: auth.example.com\r\n\r\n`)
  await once(theirs, 'close')
  expect(String(ours.read())).toMatch(/^HTTP\/1\.1 200 /)
})

test('forgets what no token can be of any more', async () => {
  await using t = await createTestApp()
  await revokeSessions(t, 1)
  expect((await readList(t)).revocations).toHaveLength(1)
  t.travel(650)
  await revokeSessions(t, 1)
  await t.deps.feed.look()
  expect(t.deps.feed.held.listed()).toHaveLength(2)
  t.travel(20)
  await t.deps.feed.look()
  expect(t.deps.feed.held.listed().map(({ seq }) => seq)).toEqual([2])
  await using other = await createTestApp({ join: t })
  expect(await readList(other)).toMatchObject({ seq: 2, revocations: [{ seq: 2 }] })
})

test('names a key for as long as a cache or a verifier may have it', async () => {
  await using t = await createTestApp()
  await revoke(t, { kind: 'key', kid: 'of-a-thief' })
  await t.deps.feed.look()
  t.travel(2 * 86_400 + 360)
  await t.deps.feed.look()
  expect(t.deps.feed.held.listed()).toHaveLength(1)
  await pruneRevocations.remove(t.db, t.deps.clock(), 100)
  expect(await t.db.selectFrom('revocations').select('kid').execute()).toEqual([{ kid: 'of-a-thief' }])
  t.travel(3600)
  await t.deps.feed.look()
  expect(t.deps.feed.held.listed()).toHaveLength(0)
})

test('keeps what tokens of another server may be of, whose settings are longer, or of a client’s own', async () => {
  await using long = await createTestApp({ env: { ACCESS_TOKEN_SECONDS: '3600' } })
  await using t = await createTestApp({ join: long, env: { ACCESS_TOKEN_SECONDS: '60' } })
  const lifetime = async () => {
    await revokeSessions(t, 1)
    await t.deps.feed.look()
    const last = await t.db.selectFrom('revocations').selectAll().orderBy('seq', 'desc').limit(1).executeTakeFirst()
    return ((last?.expires_at?.getTime() ?? 0) - (last?.revoked_at.getTime() ?? 0)) / 1000
  }
  expect(await lifetime()).toBe(120)
  await long.deps.feed.look()
  expect(await lifetime()).toBe(3660)
  t.travel(3600)
  expect(await lifetime()).toBe(3660)
  t.travel(130)
  expect(await lifetime()).toBe(120)
  await addPublicClient(t, { type: 'native', accessTokenSeconds: 900 })
  expect(await lifetime()).toBe(960)
})

test('is never signed by a key that it withdraws', async () => {
  await using t = await createTestApp()
  const before = headerOf((await get(t)).body).kid
  await rotateKeys(t.deps, byOperator(t.deps), { compromised: true })
  await t.deps.feed.look()
  const { position } = t.deps.feed.held
  const { body } = await get(t, `?since=${position().epoch}.0`)
  expect(headerOf(body).kid).not.toBe(before)
  expect(await verified<ListClaims>(t, body, 'revocations+jwt')).toMatchObject({ revocations: [{ kid: before }] })
})

describe('of a part', () => {
  test('a reader that goes on from what it has comes to the end, past numbers that name nothing', async () => {
    await using t = await createTestApp()
    const early = await revokeSessions(t, 300)
    await t.deps.feed.look()
    await revoke(t, ...Array.from({ length: 400 }, () => ({ kind: 'credential', userId: USER }) as const))
    await t.deps.feed.look()
    const late = await revokeSessions(t, 10)
    await t.deps.feed.look()
    const { epoch } = t.deps.feed.held.position()
    const found: string[] = []
    const steps: number[] = []
    const begins: number[] = []
    for (let at = 0; ; ) {
      const { seq, after, revocations } = await readList(t, `${epoch}.${at}`)
      expect(seq).toBe(710)
      begins.push(after)
      if (revocations.length === 0) break
      steps.push(revocations.length)
      found.push(...revocations.filter((each) => each.seq > at).map(({ sid = '' }) => sid))
      at = revocations.at(-1)?.seq ?? at
    }
    expect(steps).toEqual([256, 44, 10])
    // Each says that nothing is left out from there on.
    expect(begins).toEqual([0, 256, 300, 710])
    expect(new Set(found)).toEqual(new Set([...early, ...late]))
    expect(found).toHaveLength(310)
  })

  test('a reader of another epoch, or ahead, gets everything', async () => {
    await using t = await createTestApp()
    await revokeSessions(t, 300)
    const { epoch } = await readList(t)
    for (const since of [`${epoch}.301`, `${'A'.repeat(22)}.300`]) {
      const { after, revocations } = await readList(t, since)
      expect([after, revocations.length]).toEqual([0, 300])
    }
  })

  test.each([
    '',
    '1',
    '.1',
    'epoch.',
    'epoch.01',
    'epoch.-1',
    'epoch.1.0',
    'epoch.1e3',
    'epoch.0x1',
    'epoch.+1',
    'epoch.%201',
    'epoch.1%00',
    'epoch.1234567890123456',
    'short.1',
    'epoch.1&since=epoch.2',
    'epoch.1&until=2',
  ])('a position that is spelled in another way, ?since=%s, is refused', async (text) => {
    await using t = await createTestApp()
    const { epoch } = await readList(t)
    const answer = await get(t, `?since=${text.replaceAll('epoch', epoch)}`)
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_request'])
  })

  test('ten thousand positions are no more signatures than there are parts', async () => {
    await using t = await createTestApp()
    await revokeSessions(t, 600)
    await t.deps.feed.look()
    const sign = vi.spyOn(t.deps.keyring, 'signBytes')
    const documents = createDocuments(t.deps, t.deps.feed.held)
    const { epoch } = t.deps.feed.held.position()
    const since = (seq: number, of = epoch) => documents({ epoch: of, seq })
    const found = await Promise.all(
      Array.from({ length: 10_000 }, (_, n) => (n % 7 === 0 ? since(n, `${n}`.padStart(22, 'x')) : since(n))),
    )
    expect(new Set(found.map(({ etag }) => etag)).size).toBe(5)
    // Three parts, nothing, and everything.
    expect(sign).toHaveBeenCalledTimes(5)
    await since(0)
    await documents(undefined)
    expect(sign).toHaveBeenCalledTimes(5)
  })
})
