import { describe, expect, test } from 'vitest'
import {
  eventually,
  type FeedIssuer,
  INTROSPECTION,
  RECEIPTS,
  STREAM,
  startFeedIssuer,
  subscriberOf,
} from './feed-support.ts'
import { SECOND, tokens } from './verifier-support.ts'

describe('a client that has no secret', () => {
  const never = (): Promise<string> => new Promise(() => {})
  const tokensAt = (issuer: FeedIssuer) => {
    const asked: string[] = []
    issuer.answers.set('/oauth/token', (_request, response) => {
      asked.push(`token-${asked.length + 1}`)
      response.end(JSON.stringify({ access_token: asked.at(-1), expires_in: 86_400 }))
    })
    return asked
  }
  /** Answers with the given status once, and then as before. */
  const onceAt = (issuer: FeedIssuer, path: string, status: number, retryAfter: string): void => {
    const usual = issuer.answers.get(path)
    issuer.answers.set(path, (_request, response) => {
      if (usual) issuer.answers.set(path, usual)
      response.writeHead(status, { 'retry-after': retryAfter }).end()
    })
  }
  const saidBy = ({ errors }: { errors: Error[] }): string => errors.map(({ message }) => message).join()

  test.each<[string, () => string | Promise<string>, string]>([
    ['is never given', never, 'no answer within 5 s'],
    [
      'throws',
      () => {
        throw new Error('no such file')
      },
      'no such file',
    ],
    ['rejects', () => Promise.reject(new Error('it has expired')), 'it has expired'],
    ['is no text', () => undefined as unknown as string, 'it gave no text'],
  ])('whose assertion %s says so, and goes on once there is one', async (_what, failing, reason) => {
    await using issuer = await startFeedIssuer()
    tokensAt(issuer)
    let given = failing
    const client = { id: 'cl_orders', assertion: () => given() }
    using subscriber = subscriberOf(issuer, { client, revocations: { onStale: 'introspect' } })
    const { verify, travel, pass } = subscriber
    issuer.answers.set(INTROSPECTION, (_request, response) => response.end('{"active":true}'))
    await verify.ready()
    const failure = `the function for the client's assertion failed: ${reason}`
    await eventually(() => {
      travel(SECOND)
      expect(saidBy(subscriber)).toContain(`stream: ${failure}`)
      expect(saidBy(subscriber)).toContain(`the receipt: ${failure}`)
    })
    pass(60 * SECOND)
    const outcome = verify(tokens.usual(issuer)).catch((error: Error) => error.message)
    let settled: unknown
    void outcome.then((message) => (settled = message))
    await eventually(() => {
      travel(SECOND)
      expect(settled).toContain(`asking the issuer failed: ${failure}`)
    })
    given = () => 'a.b.c'
    await eventually(() => {
      travel(SECOND)
      expect(issuer.streams).toHaveLength(1)
      expect(issuer.requests).toContain(RECEIPTS)
    })
  })

  test.each([
    ['the stream', STREAM],
    ['receipts', RECEIPTS],
  ])('takes another access token when %s is answered 429', async (_what, path) => {
    await using issuer = await startFeedIssuer()
    const asked = tokensAt(issuer)
    issuer.answers.set(RECEIPTS, (_request, response) => void response.writeHead(204).end())
    onceAt(issuer, path, 429, '1')
    const client = { id: 'cl_orders', assertion: () => 'a.b.c' }
    using subscriber = subscriberOf(issuer, { client, revocations: {} })
    await subscriber.verify.ready()
    await eventually(() => {
      subscriber.travel(SECOND)
      expect(saidBy(subscriber)).toContain(`${path} answered 429`)
      expect(asked).toEqual(['token-1', 'token-2'])
    })
  })

  test('asks for no access token before the time that it was told', async () => {
    await using issuer = await startFeedIssuer()
    const asked = tokensAt(issuer)
    onceAt(issuer, '/oauth/token', 429, '30')
    const client = { id: 'cl_orders', assertion: () => 'a.b.c' }
    using subscriber = subscriberOf(issuer, { client, revocations: {} })
    const failures = (): number => saidBy(subscriber).split('/oauth/token answered 429').length - 1
    await subscriber.verify.ready()
    await eventually(() => expect(failures()).toBeGreaterThan(0))
    for (let seconds = 0; seconds < 24; seconds += 6) {
      const before = failures()
      subscriber.travel(6 * SECOND)
      await eventually(() => expect(failures()).toBeGreaterThan(before))
    }
    expect(issuer.requests.filter((each) => each === '/oauth/token')).toHaveLength(1)
    await eventually(() => {
      subscriber.travel(SECOND)
      expect(asked).toEqual(['token-1'])
      expect(issuer.streams).toHaveLength(1)
    })
  })
})
