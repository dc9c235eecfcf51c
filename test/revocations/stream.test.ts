import { once } from 'node:events'
import { IncomingMessage, ServerResponse } from 'node:http'
import { connect, Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import { describe, expect, test, vi } from 'vitest'
import { createPlaces } from '../../src/revocations/places.ts'
import { createStreams } from '../../src/revocations/streams.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import {
  LIST,
  type ListClaims,
  openStream,
  readList,
  revoke,
  revokeSessions,
  type StreamReader,
  verified,
} from './support.ts'

const USER = '5e0c1f4e-8c52-4f55-b6c1-0d2f3a4b5c6d'
const SESSION = '9b2e7d10-1111-4222-8333-444455556666'
const EVENTS = 'https://schemas.openid.net/secevent/caep/event-type'

async function take(stream: StreamReader, count: number): Promise<string[]> {
  const ids: string[] = []
  while (ids.length < count) ids.push((await stream.next('revocation')).id ?? '')
  return ids
}

const numbers = (epoch: string, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => `${epoch}.${from + index}`)

/** Revokes so many sessions and waits until they are numbered. @returns the epoch. */
async function numbered(t: TestApp, count: number): Promise<string> {
  await revokeSessions(t, count)
  await vi.waitFor(async () => {
    await t.deps.feed.look()
    expect(t.deps.feed.held.recent()).toHaveLength(Math.min(count, 256))
  })
  return t.deps.feed.held.position().epoch
}

test('greets with a heartbeat, and sends what is revoked as security events', async () => {
  await using t = await createTestApp()
  await revokeSessions(t, 3)
  await using stream = await openStream(await t.listen(), { origin: 'https://anybody.example' })
  expect(stream.status).toBe(200)
  expect(Object.fromEntries(stream.headers)).toMatchObject({
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'access-control-allow-origin': '*',
    'x-accel-buffering': 'no',
    'x-content-type-options': 'nosniff',
  })
  const greeting = await stream.next('heartbeat')
  const { epoch, ...view } = await verified<ListClaims>(t, greeting.data, 'revocations+jwt')
  expect(view).toMatchObject({ after: 3, seq: 3, ttl: 2, revocations: [] })
  expect(greeting.id).toBe(`${epoch}.3`)

  await revoke(t, { kind: 'session', sid: SESSION, userId: USER })
  const event = await stream.next('revocation')
  expect(event.id).toBe(`${epoch}.4`)
  const { iat, revocation, ...claims } = await verified<Record<string, unknown>>(t, event.data, 'secevent+jwt')
  const [, , , listed] = (await readList(t)).revocations
  expect(revocation).toEqual(listed)
  expect(iat).toBeLessThanOrEqual(t.deps.clock().getTime() / 1000)
  expect(claims).toEqual({
    iss: t.config.ISSUER,
    jti: `${epoch}.4`,
    epoch,
    sub_id: {
      format: 'complex',
      user: { format: 'iss_sub', iss: t.config.ISSUER, sub: USER },
      session: { format: 'opaque', id: SESSION },
    },
    events: { [`${EVENTS}/session-revoked`]: { event_timestamp: listed?.revoked_at, initiating_entity: 'admin' } },
  })
})

test('tells of an account, of everybody and of a password, each in its way', async () => {
  await using t = await createTestApp()
  await using stream = await openStream(await t.listen())
  await stream.next('heartbeat')
  const sent = async (...what: Parameters<typeof revoke>[1][]) => {
    await revoke(t, ...what)
    const { data } = await stream.next('revocation')
    return await verified<Record<string, unknown>>(t, data, 'secevent+jwt')
  }
  const user = { format: 'iss_sub', iss: t.config.ISSUER, sub: USER }
  expect(await sent({ kind: 'subject', sub: USER })).toMatchObject({
    sub_id: { format: 'complex', user },
    revocation: { seq: 1, sub: USER },
  })
  expect(await sent({ kind: 'all' })).toMatchObject({
    sub_id: { format: 'complex', tenant: { format: 'uri', uri: t.config.ISSUER } },
    revocation: { seq: 2, all: true },
  })
  const password = await sent({ kind: 'credential', userId: USER })
  expect(password).toMatchObject({
    seq: 3,
    sub_id: { format: 'complex', user },
    events: { [`${EVENTS}/credential-change`]: { credential_type: 'password', change_type: 'update' } },
  })
  expect(password).not.toHaveProperty('revocation')
})

test('beats, and each time says for which later moment', async () => {
  await using t = await createTestApp()
  await using stream = await openStream(await t.listen())
  const beats: number[] = []
  while (beats.length < 3) {
    const { data } = await stream.next('heartbeat')
    beats.push((await verified<ListClaims>(t, data, 'revocations+jwt')).iat)
  }
  expect(beats).toEqual(beats.toSorted((a, b) => a - b))
  expect(new Set(beats).size).toBe(beats.length)
})

describe('a reader that comes back', () => {
  test('has what it missed, in order and once', async () => {
    await using t = await createTestApp()
    const url = await t.listen()
    const epoch = await numbered(t, 256)
    await using stream = await openStream(url, { 'last-event-id': `${epoch}.6` })
    expect(await take(stream, 250)).toEqual(numbers(epoch, 7, 256))
    await revokeSessions(t, 2)
    expect(await take(stream, 2)).toEqual(numbers(epoch, 257, 258))
  })

  test.each([
    ['of another epoch', () => `${'A'.repeat(22)}.300`],
    ['that is ahead', (epoch: string) => `${epoch}.301`],
    ['too far behind', (epoch: string) => `${epoch}.43`],
    ['with nonsense', () => 'nonsense'],
  ])('is told to begin anew: one %s', async (_which, idOf) => {
    await using t = await createTestApp()
    const url = await t.listen()
    const epoch = await numbered(t, 300)
    await using stream = await openStream(url, { 'last-event-id': idOf(epoch) })
    const reset = await stream.next('reset')
    // Without an id: one that breaks off before it has read the list must be told again.
    expect(reset.id).toBeUndefined()
    expect(JSON.parse(reset.data)).toEqual({ epoch, seq: 300 })
    expect((await stream.next('heartbeat')).id).toBe(`${epoch}.300`)
    expect(stream.events.map(({ event }) => event)).not.toContain('revocation')
  })
})

test('is one line of the log, when it ends', async () => {
  await using t = await createTestApp()
  const url = await t.listen()
  const lines = () => t.logs.filter(({ route }) => route === `${LIST}/stream`)
  const stream = await openStream(url)
  await stream.next('heartbeat')
  await revokeSessions(t, 20)
  await take(stream, 20)
  expect(lines()).toEqual([])
  await stream[Symbol.asyncDispose]()
  await vi.waitFor(() => expect(lines()).toHaveLength(1))
  const another = await openStream(url)
  await another.next('heartbeat')
  await t.app.close()
  await another.ended
  expect(lines()).toHaveLength(2)
})

test('a burst that is larger than what is kept sends readers to the list', async () => {
  await using t = await createTestApp()
  await using stream = await openStream(await t.listen())
  await stream.next('heartbeat')
  await revokeSessions(t, 400)
  expect(JSON.parse((await stream.next('reset')).data)).toMatchObject({ seq: 400 })
  await revokeSessions(t, 1)
  expect((await stream.next('revocation')).id).toMatch(/\.401$/)
})

test('an event is signed once, however many listen, and again once a key was withdrawn', async () => {
  await using t = await createTestApp()
  const url = await t.listen()
  const streams = await Promise.all(Array.from({ length: 10 }, () => openStream(url)))
  const sign = vi.spyOn(t.deps.keyring, 'sign')
  await Promise.all(streams.map((stream) => stream.next('heartbeat')))
  await revokeSessions(t, 5)
  const [first = []] = await Promise.all(streams.map((stream) => take(stream, 5)))
  expect(sign).toHaveBeenCalledTimes(5)
  const [id = ''] = first
  await using late = await openStream(url, { 'last-event-id': id })
  await take(late, 4)
  expect(sign).toHaveBeenCalledTimes(5)
  await revoke(t, { kind: 'key', kid: 'k'.repeat(43) })
  await take(late, 1)
  await using last = await openStream(url, { 'last-event-id': id })
  await take(last, 5)
  // The four again, which that key may have signed, and the new one.
  expect(sign).toHaveBeenCalledTimes(10)
  for (const stream of streams) await stream[Symbol.asyncDispose]()
})

describe('of streams', () => {
  test('an address has twenty, and gets one back when one ends', async () => {
    await using t = await createTestApp({ env: { TRUSTED_PROXIES: '127.0.0.1' } })
    const url = await t.listen()
    const from = (address: string) => openStream(url, { 'x-forwarded-for': address })
    const streams = await Promise.all(Array.from({ length: 20 }, () => from('203.0.113.7')))
    expect(streams.map(({ status }) => status)).toEqual(streams.map(() => 200))
    const refused = await from('203.0.113.7')
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '10'])
    await using other = await from('203.0.113.8')
    expect(other.status).toBe(200)
    await streams.pop()?.[Symbol.asyncDispose]()
    await vi.waitFor(async () => {
      const again = await from('203.0.113.7')
      streams.push(again)
      expect(again.status).toBe(200)
    })
    // Many addresses of one network are one.
    const network = await Promise.all(Array.from({ length: 21 }, (_, n) => from(`2001:db8:1:2::${n + 1}`)))
    expect(network.map(({ status }) => status).filter((status) => status === 503)).toHaveLength(1)
    for (const stream of [...streams, ...network]) await stream[Symbol.asyncDispose]()
  })

  test('strangers leave room for services that say who they are, and a wrong secret gets none', async () => {
    await using t = await createTestApp()
    const url = await t.listen()
    const { clientId, secret } = await addServiceClient(t)
    const basic = (password: string) => ({ authorization: `Basic ${btoa(`${clientId}:${password}`)}` })
    const strangers = await Promise.all(Array.from({ length: 20 }, () => openStream(url)))
    expect((await openStream(url)).status).toBe(503)
    await using stream = await openStream(url, basic(secret))
    expect(stream.status).toBe(200)
    const wrong = await openStream(url, basic(`${secret}x`))
    expect([wrong.status, wrong.headers.get('www-authenticate')]).toEqual([401, expect.stringMatching(/^Basic /)])
    for (const each of strangers) await each[Symbol.asyncDispose]()
  })

  test('there are a thousand places for anybody, and two hundred for services, fifty for each', () => {
    const places = createPlaces()
    const all = Array.from({ length: 1001 }, (_, n) => places.take({ network: `net-${n % 60}` }))
    expect(all.filter((place) => place !== undefined)).toHaveLength(1000)
    const services = Array.from({ length: 260 }, (_, n) => places.take({ clientId: `cl_${n % 5}` }))
    expect(services.filter((place) => place !== undefined)).toHaveLength(200)
    const one = createPlaces()
    const taken = Array.from({ length: 51 }, () => one.take({ clientId: 'cl_1' }))
    expect(taken.map((place) => place !== undefined)).toEqual([...Array<boolean>(50).fill(true), false])
    // A place is given back once, however often its reader goes.
    for (let again = 0; again < 3; again++) taken[0]?.()
    expect([one.take({ clientId: 'cl_1' }), one.take({ clientId: 'cl_1' })]).toEqual([expect.any(Function), undefined])
  })

  test.each([
    ['has gone', () => undefined],
    [
      'cannot be answered',
      () => {
        throw new Error('the head cannot be sent')
      },
    ],
  ])('none is kept for a reader who %s by the time that there is one', async (_how, open) => {
    await using t = await createTestApp()
    const streams = createStreams(t.deps, t.deps.feed)
    for (let n = 0; n < 20; n++) await streams.join({ network: 'one' }, undefined, open).catch(() => {})
    const admitted = vi.fn(() => undefined)
    await streams.join({ network: 'one' }, undefined, admitted)
    expect(admitted).toHaveBeenCalledOnce()
    streams.end()
  })

  test('those that wait for each other on one connection are given back with it, and make no noise', async () => {
    await using t = await createTestApp()
    const { host, port } = new URL(await t.listen())
    const warned = vi.fn()
    process.on('warning', warned)
    const open = async () => (await t.deps.metrics.revocationStreams.get()).values[0]?.value
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`GET ${LIST}/stream HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(20))
    await expect.poll(open).toBe(20)
    socket.destroy()
    await expect.poll(open).toBe(0)
    expect(warned).not.toHaveBeenCalled()
    process.off('warning', warned)
  })

  test('HEAD opens none', async () => {
    await using t = await createTestApp()
    const url = await t.listen()
    for (let n = 0; n < 25; n++) {
      const answer = await fetch(`${url}${LIST}/stream`, { method: 'HEAD' })
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    }
    await using stream = await openStream(url)
    expect(stream.status).toBe(200)
  })

  test('all end when the server closes', async () => {
    await using t = await createTestApp()
    const url = await t.listen()
    const streams = await Promise.all(Array.from({ length: 3 }, () => openStream(url)))
    await Promise.all([t.app.close(), ...streams.map(({ ended }) => ended)])
  })
})

describe('a reader that does not read', () => {
  /** Joins with a connection that takes what the other side reads, and nothing more. */
  async function join(t: TestApp, stuckForMs: number) {
    const [ours, theirs] = duplexPair({ highWaterMark: 1024 })
    const request = new IncomingMessage(new Socket())
    const reply = new ServerResponse(request)
    reply.assignSocket(ours as Socket)
    const streams = createStreams(t.deps, t.deps.feed, { beatEveryMs: 60_000, fullBytes: 16 * 1024, stuckForMs })
    const onGone = (act: () => void) => void reply.once('close', act)
    await streams.join({ network: 'one' }, undefined, () => ({ reply, onGone }))
    return { reply, theirs, streams }
  }

  test('is given no more than it may leave unread, and all the rest once it reads', async () => {
    await using t = await createTestApp()
    await t.listen()
    const { reply, theirs, streams } = await join(t, 60_000)
    // Once it has begun at the present, whatever comes is for it.
    await vi.waitFor(() => expect(theirs.readableLength).toBeGreaterThan(500))
    await revokeSessions(t, 200)
    await vi.waitFor(() => expect(reply.writableLength).toBeGreaterThan(16 * 1024))
    await revokeSessions(t, 20)
    await vi.waitFor(() => expect(t.deps.feed.held.position().seq).toBe(220))
    expect(reply.writableLength).toBeLessThan(20 * 1024)
    let text = ''
    theirs.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    await vi.waitFor(() => expect(text).toMatch(/\.220\n/), { timeout: 5000 })
    const seqs = [...text.matchAll(/^id: [\w-]+\.(\d+)\nevent: revocation/gm)].map(([, seq]) => Number(seq))
    expect(seqs).toEqual(Array.from({ length: 220 }, (_, index) => index + 1))
    streams.end()
  })

  test('is dropped after a while', async () => {
    await using t = await createTestApp()
    await t.listen()
    const { reply, theirs, streams } = await join(t, 100)
    await vi.waitFor(() => expect(theirs.readableLength).toBeGreaterThan(500))
    await revokeSessions(t, 200)
    await once(reply, 'close')
    expect(reply.destroyed).toBe(true)
    streams.end()
  })
})
