import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { retiringKid } from '../../sdk/verifier/vectors/mint.ts'
import {
  eventually,
  LIST,
  reconnected,
  STREAM,
  settledAt,
  startFeedIssuer,
  streamingFrom,
  subscriberOf,
} from './feed-support.ts'
import { checkOf, first, MINUTE, SECOND, second, tokens, verifierOf } from './verifier-support.ts'

const SID = 'b3b0c6f4-7f0e-4c3a-8a51-6f6d2b9e1d07'
const SUB = '7f6c2f0e-3c83-4d0b-9d55-0a4f8a1c3b52'
/** When the tokens of the vectors were issued. */
const ISSUED = 1735689600

test('nothing is asked of the feed before the first use, and nothing at all without the option', async () => {
  await using issuer = await startFeedIssuer()
  using asking = subscriberOf(issuer)
  const silent = verifierOf(issuer)
  await sleep(20)
  expect(issuer.requests).toEqual([])
  await silent.verify(tokens.usual(issuer))
  expect(silent.verify.revocations()).toEqual({ state: 'off', entries: 0 })
  expect(issuer.requests.filter((path) => path.startsWith(LIST))).toEqual([])
  await asking.verify(tokens.usual(issuer))
  expect(issuer.requests.filter((path) => path.startsWith(LIST)).toSorted()).toEqual([LIST, STREAM])
})

test('a logout before the first token is known to it, and one after it is heard of by the stream', async () => {
  await using issuer = await startFeedIssuer()
  issuer.list({ sid: 'another session' })
  const token = tokens.usual(issuer)
  const early = issuer.mint.withClaims({ sid: 'another session' })
  using subscriber = subscriberOf(issuer)
  const { verify } = subscriber
  expect(await checkOf(verify(early))).toBe('revoked')
  expect(await checkOf(verify(token))).toBe('ok')
  await eventually(() => expect(issuer.streams).toHaveLength(1))
  await subscriber.beat()
  expect(verify.revocations()).toEqual({ state: 'streaming', age: 0, epoch: 'epoch-1', seq: 1, entries: 1 })
  issuer.revoke({ sid: SID })
  await settledAt(verify.revocations, ({ seq }) => seq === 2)
  const error = await verify(token).catch((reason: unknown) => reason)
  expect(error).toMatchObject({
    check: 'revoked',
    status: 401,
    headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
  })
  expect(await checkOf(verify(issuer.mint.withClaims({ sid: undefined })))).toBe('ok')
  expect(issuer.listReadings()).toHaveLength(1)
})

test.each<[string, object, string]>([
  ['its session', { sid: SID }, 'revoked'],
  ['another session', { sid: SID.toUpperCase() }, 'ok'],
  ['its user, later', { sub: SUB, revoked_at: ISSUED + 1 }, 'revoked'],
  ['its user, in the same second', { sub: SUB, revoked_at: ISSUED }, 'revoked'],
  ['its user, before', { sub: SUB, revoked_at: ISSUED - 1 }, 'ok'],
  ['another user', { sub: SID }, 'ok'],
  ['everybody, later', { all: true, revoked_at: ISSUED + 1 }, 'revoked'],
  ['everybody, before', { all: true, revoked_at: ISSUED - 1 }, 'ok'],
  ['its key', { kid: retiringKid }, 'revoked'],
  ['another key', { kid: 'of-last-year' }, 'ok'],
])('%s', async (_what, named, outcome) => {
  await using issuer = await startFeedIssuer()
  issuer.keys = [first, second]
  issuer.list({ ...named })
  using subscriber = subscriberOf(issuer)
  expect(await checkOf(subscriber.verify(tokens.second(issuer)))).toBe(outcome)
})

test('a revocation that comes while the list is being read is not lost, and known at once', async () => {
  await using issuer = await startFeedIssuer()
  const before = issuer.document()
  let release = (): void => {}
  issuer.answers.set(LIST, (_request, response) => void (release = () => response.end(before)))
  using subscriber = subscriberOf(issuer)
  const { verify } = subscriber
  const waiting = checkOf(verify(tokens.usual(issuer)))
  await eventually(() => expect(issuer.streams).toHaveLength(1))
  issuer.revoke({ sid: SID })
  await settledAt(verify.revocations, ({ entries }) => entries === 1)
  release()
  expect(await waiting).toBe('revoked')
  expect(verify.revocations(), 'the list and what came meanwhile fit together').toMatchObject({ seq: 1 })
  await subscriber.beat()
  expect(issuer.listReadings()).toHaveLength(1)
})

test('what the stream leaves out is read from the list, whether a heartbeat or an event shows it', async () => {
  await using issuer = await startFeedIssuer()
  using subscriber = await streamingFrom(issuer)
  const { verify, travel } = subscriber
  travel(SECOND)
  issuer.list({ sid: SID })
  issuer.send(issuer.heartbeat())
  await settledAt(verify.revocations, ({ seq }) => seq === 1)
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('revoked')
  expect(issuer.listReadings()).toEqual([LIST, `${LIST}?since=epoch-1.0`])
  travel(SECOND)
  issuer.list({ sid: 'another' })
  issuer.revoke({ sid: 'a third' })
  await settledAt(verify.revocations, ({ seq }) => seq === 3)
  expect(issuer.listReadings()).toHaveLength(3)
  expect(verify.revocations().entries).toBe(3)
})

test('a long gap is read page by page', async () => {
  await using issuer = await startFeedIssuer()
  using subscriber = await streamingFrom(issuer)
  const { verify, travel } = subscriber
  travel(SECOND)
  for (let i = 0; i < 700; i++) issuer.list({ sid: `session ${i}` })
  // Passwords that were changed: numbers without an entry.
  issuer.seq += 3
  issuer.send(issuer.heartbeat())
  await settledAt(verify.revocations, ({ seq }) => seq === 703)
  expect(verify.revocations().entries).toBe(700)
  expect(issuer.listReadings()).toEqual([LIST, ...[0, 255, 511, 700].map((seq) => `${LIST}?since=epoch-1.${seq}`)])
})

test('a connection that ends is made again, and goes on where it was', async () => {
  await using issuer = await startFeedIssuer()
  using subscriber = await streamingFrom(issuer)
  const { verify, travel } = subscriber
  issuer.revoke({ sid: 'another' })
  await settledAt(verify.revocations, ({ seq }) => seq === 1)
  for (const { response } of issuer.streams) response.end()
  await settledAt(verify.revocations, ({ state }) => state === 'polling')
  await eventually(() => {
    travel(20)
    expect(issuer.streams.map(({ lastEventId }) => lastEventId)).toEqual(['epoch-1.1'])
  })
  issuer.revoke({ sid: SID })
  await eventually(async () => expect(await checkOf(verify(tokens.usual(issuer)))).toBe('revoked'))
  expect(issuer.listReadings()).toHaveLength(1)
})

test('a reset makes it read on from where it was, and a new epoch read everything; what is held is kept', async () => {
  await using issuer = await startFeedIssuer()
  issuer.list({ sid: SID })
  using subscriber = await streamingFrom(issuer)
  const { verify, travel } = subscriber
  travel(SECOND)
  issuer.list({ sid: 'missed' })
  issuer.send('event: reset\ndata: {"epoch":"epoch-1","seq":2}\n\n')
  await settledAt(verify.revocations, ({ seq }) => seq === 2)
  expect(issuer.listReadings().at(-1)).toBe(`${LIST}?since=epoch-1.1`)

  travel(SECOND)
  Object.assign(issuer, { epoch: 'epoch-2', seq: 0, entries: [] })
  issuer.list({ sid: 'new' })
  issuer.send('event: reset\ndata: {"epoch":"epoch-2","seq":1}\n\n')
  // Before the list has been read: by its new epoch it is refused, unless a reset has come.
  issuer.revoke({ sid: 'newer' })
  await settledAt(verify.revocations, ({ epoch, seq }) => epoch === 'epoch-2' && seq === 2)
  expect(verify.revocations().entries).toBe(4)
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('revoked')

  travel(SECOND)
  Object.assign(issuer, { epoch: 'epoch-3', seq: 0, entries: [] })
  issuer.send(issuer.heartbeat())
  await settledAt(verify.revocations, ({ epoch, seq, age }) => epoch === 'epoch-3' && seq === 0 && age === 0)
  expect(issuer.listReadings().at(-1)).toBe(LIST)
  expect(verify.revocations().entries).toBe(4)
})

test('entries go once they have expired for everybody, and their memory with them', async () => {
  await using issuer = await startFeedIssuer()
  for (let i = 0; i < 50; i++) issuer.list({ sid: `session ${i}` })
  using subscriber = await streamingFrom(issuer)
  const { verify, around, setWall, beat } = subscriber
  expect(verify.revocations().entries).toBe(50)
  // A clock that is set forth and back makes nobody forget: the issuer's counts.
  setWall(30 * MINUTE)
  issuer.clock = () => (around.now() - 30 * MINUTE) / 1000
  issuer.send(issuer.heartbeat())
  await reconnected(issuer, subscriber)
  subscriber.travel(SECOND)
  issuer.send(issuer.heartbeat())
  await settledAt(verify.revocations, ({ age = 0 }) => Math.floor(age) === 1770)
  setWall(-30 * MINUTE)
  issuer.clock = () => around.now() / 1000
  expect(verify.revocations().entries).toBe(50)
  for (let seconds = 0; seconds < 680; seconds += 5) await beat(5)
  expect(verify.revocations().entries, 'within the tolerance').toBe(50)
  for (let seconds = 0; seconds < 20; seconds += 5) await beat(5)
  expect(verify.revocations().entries).toBe(0)
  expect(verify.revocations().seq).toBe(50)
})

test('close() ends the connection and all that would come later', async () => {
  await using issuer = await startFeedIssuer()
  using subscriber = await streamingFrom(issuer, { client: { id: 'cl_orders', secret: 's' } })
  const { verify, timers, travel } = subscriber
  await eventually(() => expect(issuer.streams).toHaveLength(1))
  verify.close()
  await eventually(() => expect(issuer.streams).toHaveLength(0))
  expect(timers.size).toBe(0)
  travel(MINUTE)
  expect(timers.size).toBe(0)
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('stale')
})

test('two verifiers in one process share nothing', async () => {
  await using issuer = await startFeedIssuer()
  await using another = await startFeedIssuer()
  using one = await streamingFrom(issuer)
  using two = await streamingFrom(another)
  issuer.revoke({ all: true })
  await settledAt(one.verify.revocations, ({ seq }) => seq === 1)
  expect(await checkOf(one.verify(tokens.usual(issuer)))).toBe('revoked')
  expect(await checkOf(two.verify(tokens.usual(another)))).toBe('ok')
  two.verify.close()
  one.travel(SECOND)
  issuer.send(issuer.heartbeat())
  await settledAt(one.verify.revocations, ({ age }) => age === 0)
  expect(two.verify.revocations().seq).toBe(0)
})
