import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { retiringKid } from '../../sdk/verifier/vectors/mint.ts'
import { byStranger } from '../../sdk/verifier/vectors/sign.ts'
import {
  eventually,
  type FeedIssuer,
  LIST,
  STREAM,
  settledAt,
  startFeedIssuer,
  streamingFrom,
  subscriberOf,
} from './feed-support.ts'
import { checkOf, first, SECOND, second, tokens } from './verifier-support.ts'

const SID = 'b3b0c6f4-7f0e-4c3a-8a51-6f6d2b9e1d07'
const entry = { seq: 1, sid: SID, revoked_at: 1893456000, expires_at: 1893456660 }

/** A verifier that streams, a second after the newest heartbeat. */
async function streaming(issuer: FeedIssuer) {
  const subscriber = await streamingFrom(issuer)
  subscriber.travel(SECOND)
  return subscriber
}

const bare = (text: string): string => text.slice(text.indexOf('data: ') + 6).trim()

describe('a message on the stream that is not what it should be changes nothing, and ends the connection', () => {
  test.each<[string, (issuer: FeedIssuer) => string]>([
    ['an event of another issuer', (issuer) => issuer.event(entry, { iss: 'https://attacker.example' })],
    ['an event of another epoch', (issuer) => issuer.event(entry, { epoch: 'epoch-0' }).replace('epoch-1', 'epoch-0')],
    ['an event of a key that nobody knows', (issuer) => issuer.event(entry, {}, { kid: 'x', signer: byStranger })],
    ['a forged event', (issuer) => issuer.event(entry, {}, { signer: byStranger })],
    ['an event that calls itself a list', (issuer) => issuer.event(entry, {}, { typ: 'revocations+jwt' })],
    ['an event that calls itself a token', (issuer) => issuer.event(entry, {}, { typ: 'at+jwt' })],
    ['an event in capitals', (issuer) => issuer.event(entry, {}, { typ: 'SECEVENT+JWT' })],
    ['an access token', (issuer) => `id: epoch-1.1\nevent: revocation\ndata: ${tokens.usual(issuer)}\n\n`],
    ['an event with the id of another', (issuer) => issuer.event(entry).replace('epoch-1.1', 'epoch-1.2')],
    ['an event with the id of another epoch', (issuer) => issuer.event(entry).replace('epoch-1.1', 'epoch-2.1')],
    ['an event with another spelling of its id', (issuer) => issuer.event(entry).replace('epoch-1.1', 'epoch-1.01')],
    ['an event without an id', (issuer) => issuer.event(entry).replace(/^id.*\n/, '')],
    ['an event of two kinds', (issuer) => issuer.event({ ...entry, sub: SID })],
    ['an event of no kind', (issuer) => issuer.event({ ...entry, sid: undefined })],
    ['an event of a kind to come', (issuer) => issuer.event({ ...entry, sid: undefined, jti: 'a' })],
    ['an event for everybody, which is not quite true', (issuer) => issuer.event({ ...entry, sid: undefined, all: 1 })],
    ['an event of an empty session', (issuer) => issuer.event({ ...entry, sid: '' })],
    ['an event without an end', (issuer) => issuer.event({ ...entry, expires_at: undefined })],
    ['an event that is none', (issuer) => issuer.event(entry, { events: {} })],
    ['another spelling of its signature', (issuer) => issuer.event(entry).replace(/\n\n$/, '=\n\n')],
    ['half an event', (issuer) => `${issuer.event(entry).slice(0, -50)}\n\n`],
    ['a heartbeat of another issuer', (issuer) => issuer.heartbeat({ iss: `${issuer.url}/` })],
    ['a heartbeat of a forger', (issuer) => issuer.heartbeat({}, { signer: byStranger })],
    ['a heartbeat that is an event', (issuer) => issuer.heartbeat({}, { typ: 'secevent+jwt' })],
    ['a heartbeat without a time', (issuer) => issuer.heartbeat({ iat: '1893456003' })],
    ['a heartbeat before all', (issuer) => issuer.heartbeat({ seq: -1 })],
    ['a heartbeat between two', (issuer) => issuer.heartbeat({ seq: 0.5 })],
    ['a heartbeat of no epoch', (issuer) => issuer.heartbeat({ epoch: 'a b' })],
    ['a heartbeat with another id', (issuer) => `id: epoch-1.9\n${issuer.heartbeat()}`],
    ['a line without an end', () => `data: ${'a'.repeat(70_000)}`],
    ['an event without an end, in short lines', () => `data: ${'a'.repeat(1000)}\n`.repeat(70)],
  ])('%s', async (_what, lie) => {
    await using issuer = await startFeedIssuer()
    using subscriber = await streaming(issuer)
    const { verify, errors } = subscriber
    issuer.send(lie(issuer))
    await eventually(() => expect(issuer.streams).toHaveLength(0))
    await eventually(() => expect(errors).toHaveLength(1))
    expect(errors[0]).toMatchObject({ check: 'stale', message: expect.stringMatching(/^the stream of revocations: /) })
    expect(errors[0]?.message.length).toBeLessThan(300)
    expect(verify.revocations()).toMatchObject({ age: 1, seq: 0, entries: 0 })
    expect(await checkOf(verify(tokens.usual(issuer)))).toBe('ok')
  })

  test('bytes that are no text', async () => {
    await using issuer = await startFeedIssuer()
    using subscriber = await streaming(issuer)
    issuer.streams[0]?.response.write(Buffer.from([0x3a, 0xff, 0x0a]))
    await eventually(() => expect(subscriber.errors).toHaveLength(1))
    // It is told before the other end of the connection hears of it.
    await eventually(() => expect(issuer.streams).toHaveLength(0))
  })
})

test('neither a list nor an event is an access token', async () => {
  await using issuer = await startFeedIssuer()
  using subscriber = await streaming(issuer)
  const claims = issuer.mint.claims
  for (const message of [issuer.document(), bare(issuer.event(entry)), bare(issuer.heartbeat(claims))]) {
    expect(await checkOf(subscriber.verify(message))).toBe('typ')
  }
})

test('replayed heartbeats make nothing younger, and do not keep the connection', async () => {
  await using issuer = await startFeedIssuer()
  using subscriber = await streaming(issuer)
  const { verify, travel, errors } = subscriber
  const [older, newest] = [issuer.heartbeat({ iat: issuer.clock() - 2 }), issuer.heartbeat({ iat: issuer.clock() - 1 })]
  for (let seconds = 0; seconds < 4; seconds++) {
    issuer.send(`: ${seconds}\n${older}${newest}`)
    await sleep(10)
    travel(SECOND)
  }
  expect(verify.revocations().age).toBe(5)
  travel(SECOND)
  await eventually(() => expect(errors.at(-1)?.message).toContain('no heartbeat came for 6 s'))
  issuer.answers.set(STREAM, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(newest)
  })
  issuer.answers.set(LIST, (_request, response) => response.end(bare(newest)))
  await eventually(() => {
    travel(SECOND)
    expect(issuer.listReadings().length, 'the list is replayed too').toBeGreaterThan(2)
  })
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('stale')
})

test('an old list of an old epoch leads nobody back to it', async () => {
  await using issuer = await startFeedIssuer()
  const old = issuer.document()
  using subscriber = await streaming(issuer)
  const { verify, beat, travel } = subscriber
  issuer.epoch = 'epoch-2'
  await beat(1)
  expect(verify.revocations().epoch).toBe('epoch-2')
  issuer.answers.set(LIST, (_request, response) => response.end(old))
  issuer.send('event: reset\ndata: {}\n\n')
  await eventually(() => {
    travel(20)
    expect(issuer.listReadings()).toHaveLength(3)
  })
  issuer.send(issuer.event(issuer.list({ sid: SID })))
  await eventually(async () => expect(await checkOf(verify(tokens.usual(issuer)))).toBe('revoked'))
  expect(verify.revocations()).toMatchObject({ epoch: 'epoch-2', seq: 1 })
})

test('a sequence that has gone back without another epoch is read from its beginning', async () => {
  await using issuer = await startFeedIssuer()
  issuer.seq = 9
  using subscriber = await streaming(issuer)
  issuer.seq = 3
  issuer.list({ sid: SID })
  await subscriber.beat(1)
  expect(issuer.listReadings()).toEqual([LIST, LIST])
  expect(subscriber.verify.revocations()).toMatchObject({ seq: 4, entries: 1 })
})

test('tokens that name keys of nobody do not keep the feed from a new key', async () => {
  await using issuer = await startFeedIssuer()
  using subscriber = await streaming(issuer)
  const { verify, errors } = subscriber
  expect(await checkOf(verify(tokens.unknown(issuer, 'of nobody')))).toBe('kid')
  issuer.keys = [first, second]
  issuer.send(issuer.heartbeat({}, { kid: retiringKid }))
  await settledAt(verify.revocations, ({ age }) => age === 0)
  expect(errors).toEqual([])
})

test('a key that the feed has named signs nothing more: no token, no list and no heartbeat', async () => {
  await using issuer = await startFeedIssuer()
  issuer.keys = [first, second]
  using subscriber = await streaming(issuer)
  const { verify, errors, travel, beat } = subscriber
  expect(await checkOf(verify(tokens.second(issuer)))).toBe('ok')
  issuer.send(issuer.heartbeat({}, { kid: retiringKid }))
  await settledAt(verify.revocations, ({ age }) => age === 0)
  issuer.revoke({ kid: retiringKid })
  await settledAt(verify.revocations, ({ seq }) => seq === 1)
  travel(SECOND)
  issuer.send(issuer.heartbeat({}, { kid: retiringKid }))
  await eventually(() => expect(errors.at(-1)?.message).toContain('signed by a key that was withdrawn'))
  expect(verify.revocations().age).toBe(1)
  expect(await checkOf(verify(tokens.second(issuer)))).toBe('revoked')
  await eventually(() => {
    travel(20)
    expect(issuer.streams).toHaveLength(1)
  })
  await beat()
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('ok')
})

test('a key that the feed has named is remembered, however long its tokens say that they live', async () => {
  await using issuer = await startFeedIssuer()
  using subscriber = await streamingFrom(issuer, { jwks: { keys: [first, second] } })
  const { verify, beat } = subscriber
  const stolen = tokens.second(issuer)
  expect(await checkOf(verify(stolen))).toBe('ok')
  issuer.revoke({ sid: 'of somebody' })
  issuer.revoke({ kid: retiringKid })
  await settledAt(verify.revocations, ({ entries }) => entries === 2)
  for (let seconds = 0; seconds < 720; seconds += 5) await beat(5)
  expect(verify.revocations().entries).toBe(1)
  expect(await checkOf(verify(stolen))).toBe('revoked')
  issuer.send(issuer.heartbeat({}, { kid: retiringKid }))
  await eventually(() => expect(subscriber.errors.at(-1)?.message).toContain('signed by a key that was withdrawn'))
})

test('a heartbeat of an hour to come ends the connection, and the next one counts', async () => {
  await using issuer = await startFeedIssuer()
  using subscriber = await streaming(issuer)
  const { verify, errors, travel, beat } = subscriber
  issuer.send(issuer.heartbeat({ iat: issuer.clock() + 3600 }))
  await eventually(() => expect(errors.at(-1)?.message).toContain('iat is in the future'))
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('ok')
  await eventually(() => {
    travel(20)
    expect(issuer.streams).toHaveLength(1)
  })
  await beat()
  expect(verify.revocations().state).toBe('streaming')
})

test('a flood of resets is no flood of readings', async () => {
  await using issuer = await startFeedIssuer()
  using subscriber = await streaming(issuer)
  const reset = 'event: reset\ndata: {}\n\n'
  for (let i = 0; i < 100; i++) {
    issuer.send(reset.repeat(20))
    subscriber.travel(10)
    await sleep(1)
  }
  await eventually(() => expect(issuer.listReadings().length).toBeGreaterThan(1))
  expect(issuer.listReadings().length).toBeLessThanOrEqual(1 + 5)
})

test('bytes that drip keep no connection', async () => {
  await using issuer = await startFeedIssuer()
  using subscriber = await streaming(issuer)
  for (let i = 0; i < 7; i++) {
    issuer.send(i % 2 ? 'data: a\n' : ': still here\n\n')
    subscriber.travel(SECOND)
    await sleep(5)
  }
  await eventually(() => expect(subscriber.errors.at(-1)?.message).toContain('no heartbeat came for 6 s'))
})

test('a list without an end is dropped', async () => {
  await using issuer = await startFeedIssuer()
  const piece = 'a'.repeat(1024 * 1024)
  let sent = 0
  issuer.answers.set(LIST, (_request, response) => {
    const more = (): void => {
      sent++
      if (!response.destroyed) response.write(piece, () => setImmediate(more))
    }
    more()
  })
  using subscriber = subscriberOf(issuer)
  expect(await checkOf(subscriber.verify(tokens.usual(issuer)))).toBe('stale')
  expect(subscriber.errors.map(({ message }) => message).join()).toContain('more than 67108864 bytes')
  expect(sent).toBeLessThan(100)
})
