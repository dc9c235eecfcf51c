import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
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
import { checkOf, SECOND, tokens } from './verifier-support.ts'

const SID = 'b3b0c6f4-7f0e-4c3a-8a51-6f6d2b9e1d07'

test('a stall is noticed though nothing happens: the age is computed at each verification', async () => {
  await using issuer = await startFeedIssuer()
  using subscriber = await streamingFrom(issuer)
  const { verify, pass } = subscriber
  pass(10 * SECOND)
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('ok')
  expect(verify.revocations()).toMatchObject({ state: 'streaming', age: 10 })
  pass(1)
  const error = await verify(tokens.usual(issuer)).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ check: 'stale', status: 503, headers: { 'retry-after': '1' } })
  expect(error).not.toHaveProperty('headers.www-authenticate')
  expect(verify.revocations().state).toBe('stale')
  issuer.send(issuer.heartbeat())
  await eventually(async () => expect(await checkOf(verify(tokens.usual(issuer)))).toBe('ok'))
})

test('what is known to be revoked is revoked, and no 503, however stale the view is', async () => {
  await using issuer = await startFeedIssuer()
  issuer.list({ sid: SID })
  using subscriber = await streamingFrom(issuer)
  subscriber.pass(60 * SECOND)
  expect(await checkOf(subscriber.verify(tokens.usual(issuer)))).toBe('revoked')
})

test('where no feed answers, the first token waits for the attempt, and later ones do not', async () => {
  await using issuer = await startFeedIssuer()
  for (const path of [LIST, STREAM]) issuer.answers.delete(path)
  using subscriber = subscriberOf(issuer)
  const { verify, errors } = subscriber
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('stale')
  await eventually(() => expect(errors.map(({ check }) => check)).toEqual(['stale', 'stale']))
  expect(errors.map(({ message }) => message).join()).toContain(`${issuer.url}${LIST} answered 404`)
  await expect(verify.ready()).rejects.toMatchObject({ check: 'stale' })
  using lax = subscriberOf(issuer, { revocations: { onStale: 'allow' } })
  await lax.verify.ready()
})

test('a list that does not come keeps the first token waiting for five seconds, and no longer', async () => {
  await using issuer = await startFeedIssuer()
  issuer.answers.set(LIST, () => {})
  using subscriber = subscriberOf(issuer)
  const { verify, travel } = subscriber
  const outcomes = [1, 2, 3].map(() => checkOf(verify(tokens.usual(issuer))))
  await eventually(() => expect(issuer.listReadings()).toHaveLength(1))
  travel(5 * SECOND)
  expect(await Promise.all(outcomes)).toEqual(['stale', 'stale', 'stale'])
})

test('a heartbeat that tells of something unread makes nothing younger until that is read', async () => {
  await using issuer = await startFeedIssuer()
  using subscriber = await streamingFrom(issuer)
  const { verify, travel } = subscriber
  const list = issuer.answers.get(LIST)
  issuer.answers.set(LIST, (_request, response) => response.writeHead(500).end())
  travel(2 * SECOND)
  issuer.list({ sid: SID })
  issuer.send(issuer.heartbeat())
  await eventually(() => expect(issuer.listReadings().length).toBeGreaterThan(1))
  expect(verify.revocations().age).toBe(2)
  if (list) issuer.answers.set(LIST, list)
  await eventually(() => {
    travel(50)
    expect(verify.revocations()).toMatchObject({ seq: 1, entries: 1 })
  })
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('revoked')
})

describe('clocks', () => {
  test('setting the wall clock back makes no view young, and setting it forth makes it old until it has asked anew', async () => {
    await using issuer = await startFeedIssuer()
    using subscriber = await streamingFrom(issuer)
    const { verify, pass, setWall, beat } = subscriber
    setWall(20 * SECOND)
    expect(await checkOf(verify(tokens.usual(issuer)))).toBe('stale')
    // The issuer's clock is the one of before. It is off by less than the tolerance, and no message is late for that.
    issuer.clock = () => (subscriber.around.now() - 20 * SECOND) / 1000
    issuer.send(issuer.heartbeat())
    await reconnected(issuer, subscriber)
    await beat(1)
    expect(await checkOf(verify(tokens.usual(issuer)))).toBe('ok')
    pass(8 * SECOND)
    setWall(-8 * SECOND)
    pass(3 * SECOND)
    // The time that it took to ask anew is in it.
    expect(verify.revocations()).toMatchObject({ state: 'stale', age: expect.closeTo(11, 0) })
  })

  test.each([
    ['39 s behind', 39, 'ok'],
    ['41 s behind', 41, 'stale'],
    ['30 s ahead', -30, 'ok'],
    ['31 s ahead', -31, 'stale'],
  ])('a feed that is %s from its first message on: %s', async (_what, seconds, outcome) => {
    await using issuer = await startFeedIssuer()
    using subscriber = subscriberOf(issuer)
    const { verify, around } = subscriber
    issuer.clock = () => around.now() / 1000 - seconds
    expect(await checkOf(verify(tokens.usual(issuer)))).toBe(outcome)
  })

  test('what was signed before the machine slept is not taken for new when it wakes', async () => {
    await using issuer = await startFeedIssuer()
    using subscriber = await streamingFrom(issuer)
    const { verify, errors, setWall, beat } = subscriber
    const waiting = issuer.heartbeat({ iat: issuer.clock() + 1 })
    // The monotonic clock stands still.
    setWall(38 * SECOND)
    issuer.send(waiting)
    await eventually(() => expect(errors.at(-1)?.message).toContain('this machine slept'))
    expect(await checkOf(verify(tokens.usual(issuer)))).toBe('stale')
    await reconnected(issuer, subscriber)
    await beat(1)
    expect(await checkOf(verify(tokens.usual(issuer)))).toBe('ok')
  })

  test('nor is a list that was on its way', async () => {
    await using issuer = await startFeedIssuer()
    issuer.answers.delete(STREAM)
    using subscriber = subscriberOf(issuer)
    const { verify, travel, setWall, errors } = subscriber
    const list = issuer.answers.get(LIST)
    issuer.answers.set(LIST, (_request, response) => {
      const before = issuer.document()
      setWall(38 * SECOND)
      if (list) issuer.answers.set(LIST, list)
      response.end(before)
    })
    expect(await checkOf(verify(tokens.usual(issuer)))).toBe('stale')
    expect(errors.map(({ message }) => message).join()).toContain('this machine slept')
    await eventually(async () => {
      travel(20)
      expect(await checkOf(verify(tokens.usual(issuer)))).toBe('ok')
    })
  })

  test('a heartbeat of a clock that is ahead keeps the view from growing younger for as long as that, and no longer', async () => {
    await using issuer = await startFeedIssuer()
    using subscriber = await streamingFrom(issuer)
    const { verify, pass } = subscriber
    pass(SECOND)
    issuer.send(issuer.heartbeat({ iat: issuer.clock() + 25 }))
    await settledAt(verify.revocations, ({ age }) => age === 0)
    pass(25 * SECOND)
    issuer.send(issuer.heartbeat())
    expect(await checkOf(verify(tokens.usual(issuer)))).toBe('stale')
    pass(SECOND)
    issuer.send(issuer.heartbeat())
    await settledAt(verify.revocations, ({ age }) => age === 0)
    expect(await checkOf(verify(tokens.usual(issuer)))).toBe('ok')
  })

  test('a clock that says NaN is no reason to believe', async () => {
    await using issuer = await startFeedIssuer()
    using subscriber = await streamingFrom(issuer)
    const broken = subscriber.around.now
    subscriber.setWall(Number.NaN)
    expect(Number.isNaN(broken())).toBe(true)
    expect(subscriber.verify.revocations().state).toBe('stale')
  })
})

test('messages that are held back are as old as they are', async () => {
  await using issuer = await startFeedIssuer()
  using subscriber = await streamingFrom(issuer)
  const { verify, beat, travel } = subscriber
  await beat(2)
  const late: string[] = []
  for (let seconds = 0; seconds < 4; seconds += 2) {
    travel(2 * SECOND)
    late.push(issuer.heartbeat())
  }
  // From here on, somebody delivers everything eight seconds late.
  travel(SECOND)
  issuer.send(late[0] ?? '')
  await settledAt(verify.revocations, ({ age }) => age === 3)
  travel(5 * SECOND)
  issuer.send(late[1] ?? '')
  await settledAt(verify.revocations, ({ age }) => age === 6)
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('ok')
  travel(5 * SECOND)
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('stale')
})

describe('without a stream', () => {
  test.each<[string, (issuer: Awaited<ReturnType<typeof startFeedIssuer>>) => void]>([
    ['503', (issuer) => issuer.answers.set(STREAM, (_request, response) => response.writeHead(503).end())],
    ['another type', (issuer) => issuer.answers.set(STREAM, (_request, response) => response.end('<html>'))],
    [
      'a redirect',
      (issuer) => issuer.answers.set(STREAM, (_request, response) => response.writeHead(302, { location: LIST }).end()),
    ],
    ['no answer', (issuer) => issuer.answers.set(STREAM, () => {})],
    [
      'a proxy that keeps everything back',
      (issuer) =>
        issuer.answers.set(STREAM, (_request, response) =>
          response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders(),
        ),
    ],
  ])('(%s) the list is read every five seconds', async (_what, breakStream) => {
    await using issuer = await startFeedIssuer()
    breakStream(issuer)
    let begun = 0
    using subscriber = subscriberOf(issuer, {
      fetch: (url, init) => {
        if (!url.endsWith('/stream')) begun++
        return fetch(url, init)
      },
    })
    const { verify, travel } = subscriber
    await verify.ready()
    expect(verify.revocations()).toMatchObject({ state: 'polling', age: 0 })
    /** A quarter of a second passes; if the list is asked for, its answer is waited for. */
    const step = async (): Promise<void> => {
      const before = begun
      travel(0.25 * SECOND)
      if (begun > before) await settledAt(verify.revocations, ({ age = 1 }) => age < 1)
      expect(verify.revocations().state).toBe('polling')
    }
    issuer.list({ sid: SID })
    for (let seconds = 0; seconds < 6; seconds += 0.25) await step()
    expect(await checkOf(verify(tokens.usual(issuer)))).toBe('revoked')
    const readings = begun
    for (let seconds = 0; seconds < 20; seconds += 0.25) await step()
    expect(begun - readings).toBeLessThanOrEqual(4)
    await eventually(() => {
      travel(SECOND)
      expect(issuer.requests.filter((path) => path === STREAM).length).toBeGreaterThan(1)
    })
  })

  test('a route that may be less stale has it read oftener', async () => {
    await using issuer = await startFeedIssuer()
    issuer.answers.set(STREAM, (_request, response) => response.writeHead(503).end())
    let begun = 0
    using subscriber = subscriberOf(issuer, {
      revocations: { maxStaleness: '60s' },
      fetch: (url, init) => {
        if (!url.endsWith('/stream')) begun++
        return fetch(url, init)
      },
    })
    const { verify, travel } = subscriber
    const strict = { revocations: { maxStaleness: '5s' } } as const
    verify.checkOptions(strict)
    await verify.ready()
    for (let seconds = 0; seconds < 20; seconds += 0.25) {
      const before = begun
      travel(0.25 * SECOND)
      if (begun > before) await settledAt(verify.revocations, ({ age = 1 }) => age < 1)
      expect(await checkOf(verify(tokens.usual(issuer), strict)), `after ${seconds} s`).toBe('ok')
    }
  })

  test('Retry-After is heeded', async () => {
    await using issuer = await startFeedIssuer()
    issuer.answers.set(STREAM, (_request, response) => response.writeHead(503, { 'retry-after': '30' }).end())
    using subscriber = subscriberOf(issuer)
    await subscriber.verify.ready()
    await eventually(() => expect(subscriber.errors).toHaveLength(1))
    const asked = (): number => issuer.requests.filter((path) => path === STREAM).length
    for (let i = 0; i < 29; i++) {
      subscriber.travel(SECOND)
      await sleep(5)
    }
    expect(asked()).toBe(1)
    subscriber.travel(2 * SECOND)
    await eventually(() => expect(asked()).toBe(2))
  })

  test('the stream is taken up again once it is to be had, and reading the list ends', async () => {
    await using issuer = await startFeedIssuer()
    const stream = issuer.answers.get(STREAM)
    issuer.answers.delete(STREAM)
    using subscriber = subscriberOf(issuer)
    const { verify, travel } = subscriber
    await verify.ready()
    if (stream) issuer.answers.set(STREAM, stream)
    await eventually(() => {
      travel(100)
      expect(issuer.streams).toHaveLength(1)
    })
    await subscriber.beat()
    await settledAt(verify.revocations, ({ state }) => state === 'streaming')
    const readings = issuer.listReadings().length
    for (let seconds = 0; seconds < 20; seconds += 2) await subscriber.beat(2)
    expect(issuer.listReadings()).toHaveLength(readings)
  })
})
