import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { createLoader } from '../../sdk/verifier/src/discovery.ts'
import type { VerificationError } from '../../sdk/verifier/src/index.ts'
import { createKeySource } from '../../sdk/verifier/src/key-source.ts'
import { atOnce } from '../support/at-once.ts'
import {
  checkOf,
  fakeTime,
  first,
  HOUR,
  MINUTE,
  SECOND,
  second,
  startIssuer,
  tokens,
  verifierOf,
} from './verifier-support.ts'

test('the first verifications share one load, and later ones need none', async () => {
  await using issuer = await startIssuer()
  const { verify } = verifierOf(issuer)
  expect(issuer.requests).toEqual([])
  const outcomes = await atOnce(200, () => checkOf(verify(tokens.usual(issuer))))
  expect(new Set(outcomes)).toEqual(new Set(['ok']))
  for (let i = 0; i < 50; i++) await verify(tokens.usual(issuer))
  expect(issuer.requests).toEqual(['/.well-known/oauth-authorization-server', '/jwks'])
})

test('ready() loads the keys before the first token comes', async () => {
  await using issuer = await startIssuer()
  const { verify } = verifierOf(issuer)
  await Promise.all([verify.ready(), verify.ready()])
  expect(issuer.requests).toHaveLength(2)
  issuer.down = true
  await verify(tokens.usual(issuer))
  await verify.ready()
  expect(issuer.requests).toHaveLength(2)
})

test('keys are renewed in the background before their time is over, and nobody waits', async () => {
  await using issuer = await startIssuer()
  const { verify, travel, timers } = verifierOf(issuer)
  await verify.ready()
  expect(timers.size).toBe(1)
  travel(0.69 * 300 * SECOND)
  expect(issuer.jwksRequests()).toBe(1)
  travel(0.17 * 300 * SECOND)
  await vi.waitFor(() => expect(issuer.jwksRequests()).toBe(2))
  await vi.waitFor(() => expect(timers.size).toBe(1))
})

test('where timers sleep, the next verification starts the renewal, and does not wait for it', async () => {
  await using issuer = await startIssuer()
  const { verify, pass } = verifierOf(issuer)
  await verify.ready()
  let release = () => {}
  const answered = new Promise<void>((resolve) => (release = resolve))
  issuer.answers.set('/jwks', (request, response) => {
    void answered.then(() => issuer.json(() => ({ keys: [first] }))(request, response))
  })
  pass(270 * SECOND)
  await verify(tokens.usual(issuer))
  await vi.waitFor(() => expect(issuer.jwksRequests()).toBe(2))
  await verify(tokens.usual(issuer))
  release()
  expect(issuer.jwksRequests()).toBe(2)
})

test.each([
  ['max-age=300', 300],
  ['public, max-age=120, stale-if-error=86400', 120],
  ['max-age=86400', 600],
  ['max-age=1', 30],
  ['no-store', 30],
  ['', 300],
])('"cache-control: %s" is good for %d s', async (caching, seconds) => {
  await using issuer = await startIssuer()
  issuer.caching = caching
  const { verify, travel } = verifierOf(issuer)
  await verify.ready()
  travel(seconds * 0.69 * SECOND)
  await sleep(30)
  expect(issuer.jwksRequests()).toBe(1)
  travel(seconds * 0.17 * SECOND)
  await vi.waitFor(() => expect(issuer.jwksRequests()).toBe(2))
})

test('the time that a shared cache has kept the keys counts', async () => {
  await using issuer = await startIssuer()
  issuer.answers.set('/jwks', (_request, response) => {
    response.writeHead(200, { 'cache-control': 'max-age=300', age: '200' }).end(JSON.stringify({ keys: [first] }))
  })
  const { verify, travel } = verifierOf(issuer)
  await verify.ready()
  travel(86 * SECOND)
  await vi.waitFor(() => expect(issuer.jwksRequests()).toBe(2))
})

test('a key that is gone from the key set is gone here', async () => {
  await using issuer = await startIssuer()
  issuer.keys = [first, second]
  const { verify, travel } = verifierOf(issuer)
  await verify(tokens.usual(issuer))
  await verify(tokens.second(issuer))
  issuer.keys = [second]
  travel(5 * MINUTE)
  await vi.waitFor(async () => expect(await checkOf(verify(tokens.usual(issuer)))).toBe('kid'))
  await verify(tokens.second(issuer))
})

test('after a long sleep, the keys of before are not believed without asking', async () => {
  await using issuer = await startIssuer()
  issuer.keys = [first, second]
  const { verify, pass } = verifierOf(issuer)
  await verify(tokens.usual(issuer))
  issuer.keys = [second]
  pass(8 * HOUR)
  const outcomes = await atOnce(20, () => checkOf(verify(tokens.usual(issuer))))
  expect(new Set(outcomes)).toEqual(new Set(['kid']))
  expect(issuer.jwksRequests(), 'they asked together').toBe(2)
})

test('a kid whose key was replaced is verified with the new key', async () => {
  await using issuer = await startIssuer()
  const { verify, pass } = verifierOf(issuer)
  await verify(tokens.usual(issuer))
  issuer.keys = [{ ...second, kid: first.kid }]
  pass(5 * MINUTE + 1)
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('signature')
})

test('while the issuer is down the keys go on being used, for a day by default', async () => {
  await using issuer = await startIssuer()
  const { verify, errors, travel } = verifierOf(issuer)
  await verify.ready()
  issuer.down = true
  for (let minute = 0; minute < 24 * 60; minute += 30) {
    travel(30 * MINUTE)
    expect(await checkOf(verify(tokens.usual(issuer))), `after ${minute} minutes`).toBe('ok')
  }
  expect(errors.length).toBeGreaterThan(10)
  expect(errors[0]).toMatchObject({ check: 'keys', message: expect.stringContaining(issuer.url) })
  travel(6 * MINUTE)
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('keys')
  issuer.down = false
  travel(MINUTE)
  await vi.waitFor(async () => expect(await checkOf(verify(tokens.usual(issuer)))).toBe('ok'))
})

test('maxStale bounds how long', async () => {
  await using issuer = await startIssuer()
  const { verify, travel } = verifierOf(issuer, { maxStale: 60 })
  await verify.ready()
  issuer.down = true
  travel(359 * SECOND)
  await verify(tokens.usual(issuer))
  travel(2 * SECOND)
  const error = await verify(tokens.usual(issuer)).catch((reason: VerificationError) => reason)
  expect(error).toMatchObject({
    check: 'keys',
    status: 503,
    headers: { 'retry-after': expect.stringMatching(/^\d+$/) },
  })
  expect((error as VerificationError).headers).not.toHaveProperty('www-authenticate')
})

test('while the issuer hangs, only the first to notice waits, and only once', async () => {
  await using issuer = await startIssuer()
  const { verify, pass } = verifierOf(issuer, {}, { timeoutMs: 300 })
  await verify.ready()
  issuer.answers.set('/jwks', () => {})
  issuer.answers.set('/.well-known/oauth-authorization-server', () => {})
  pass(10 * MINUTE)
  const startedAt = performance.now()
  await atOnce(20, () => verify(tokens.usual(issuer)))
  expect(performance.now() - startedAt).toBeGreaterThan(250)
  pass(2 * SECOND)
  const again = performance.now()
  await verify(tokens.usual(issuer))
  expect(performance.now() - again).toBeLessThan(200)
})

test('without any keys it is 503, attempts keep their distance, and the first that succeeds is enough', async () => {
  await using issuer = await startIssuer()
  issuer.down = true
  const { verify, errors, travel } = verifierOf(issuer)
  for (let i = 0; i < 20; i++) expect(await checkOf(verify(tokens.usual(issuer)))).toBe('keys')
  expect(issuer.requests).toHaveLength(1)
  expect(await checkOf(verify.ready())).toBe('keys')
  for (let second = 0; second < 120; second++) {
    travel(SECOND)
    await checkOf(verify(tokens.usual(issuer)))
  }
  expect(errors.length).toBeGreaterThanOrEqual(6)
  expect(errors.length).toBeLessThan(16)
  issuer.down = false
  travel(30 * SECOND)
  await verify(tokens.usual(issuer))
})

test('setting the wall clock back makes no key young again', async () => {
  await using issuer = await startIssuer()
  const { verify, travel, setWall } = verifierOf(issuer, { maxStale: 600 })
  await verify.ready()
  issuer.down = true
  travel(14 * MINUTE)
  setWall(-13 * MINUTE)
  await verify(tokens.usual(issuer))
  travel(2 * MINUTE)
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('keys')
})

test('a burst of unknown kids is one request, and in the next 30 seconds there is no other', async () => {
  await using issuer = await startIssuer()
  const { verify, pass } = verifierOf(issuer)
  await verify.ready()
  const burst = (name: string) => atOnce(100, (i) => checkOf(verify(tokens.unknown(issuer, `${name}-${i}`))))
  expect(new Set(await burst('one'))).toEqual(new Set(['kid']))
  expect(issuer.requests).toHaveLength(3)
  for (let i = 0; i < 29; i++) {
    pass(SECOND)
    expect(new Set(await burst(`more-${i}`))).toEqual(new Set(['kid']))
  }
  expect(issuer.jwksRequests()).toBe(2)
  pass(SECOND)
  await burst('later')
  expect(issuer.jwksRequests()).toBe(3)
})

test('the feed looks for keys on a budget of its own, which is bounded as well', async () => {
  await using issuer = await startIssuer()
  const { around, pass } = fakeTime()
  const load = createLoader(issuer.url, { ...around, timeoutMs: 5000, fetch: (url, init) => fetch(url, init) })
  const source = createKeySource({ ...around, load, maxStale: 0 })
  await source.ready()
  const lookFor = async (by: 'token' | 'feed'): Promise<number> => {
    for (let i = 0; i < 20; i++) await expect(source.find(`${by} ${i}`, by)).rejects.toThrow('publishes no key')
    return issuer.jwksRequests()
  }
  expect(await lookFor('token')).toBe(2)
  expect(await lookFor('feed')).toBe(3)
  pass(5 * SECOND - 1)
  expect(await lookFor('feed')).toBe(3)
  pass(1)
  expect(await lookFor('feed')).toBe(4)
  expect(await lookFor('token')).toBe(4)
  source.close()
})

test('that the issuer has closed a connection meanwhile is no outage', async () => {
  await using issuer = await startIssuer()
  const { verify, errors } = verifierOf(issuer)
  await verify.ready()
  const answer = issuer.answers.get('/jwks') as NonNullable<ReturnType<typeof issuer.answers.get>>
  issuer.answers.set('/jwks', (request) => {
    issuer.answers.set('/jwks', answer)
    request.socket.destroy()
  })
  issuer.keys = [first, second]
  expect(await checkOf(verify(tokens.second(issuer)))).toBe('ok')
  expect(errors).toEqual([])
  expect(issuer.jwksRequests()).toBe(3)
})

test('that it closes every connection is one, and is asked again once', async () => {
  await using issuer = await startIssuer()
  const { verify, pass, errors } = verifierOf(issuer)
  await verify.ready()
  issuer.down = true
  expect(await checkOf(verify(tokens.second(issuer)))).toBe('keys')
  expect(issuer.requests).toHaveLength(4)
  pass(SECOND)
  expect(await checkOf(verify(tokens.second(issuer)))).toBe('keys')
  expect(issuer.requests).toHaveLength(5)
  expect(errors).toHaveLength(2)
})

test('unknown kids at the very first use cause no second request', async () => {
  await using issuer = await startIssuer()
  const { verify } = verifierOf(issuer)
  const outcomes = await Promise.all([1, 2, 3].map((i) => checkOf(verify(tokens.unknown(issuer, `kid-${i}`)))))
  expect(outcomes).toEqual(['kid', 'kid', 'kid'])
  expect(issuer.jwksRequests()).toBe(1)
})

test('a new key is found by the first token that it signs, also among forged ones', async () => {
  await using issuer = await startIssuer()
  const { verify, pass } = verifierOf(issuer)
  await verify(tokens.usual(issuer))
  issuer.keys = [first, second]
  const outcomes = await Promise.all([
    ...Array.from({ length: 20 }, (_, i) => checkOf(verify(tokens.unknown(issuer, `forged-${i}`)))),
    checkOf(verify(tokens.second(issuer))),
  ])
  expect(outcomes.at(-1)).toBe('ok')
  expect(issuer.jwksRequests()).toBe(2)
  pass(SECOND)
  await verify(tokens.second(issuer))
  expect(issuer.jwksRequests()).toBe(2)
})

test('a renewal that was under way already is no reason not to look for a new key', async () => {
  await using issuer = await startIssuer()
  const { verify, travel } = verifierOf(issuer)
  await verify.ready()
  let release = () => {}
  const answered = new Promise<void>((resolve) => (release = resolve))
  issuer.answers.set('/jwks', (request, response) => {
    const old = JSON.stringify({ keys: [first] })
    issuer.answers.set(
      '/jwks',
      issuer.json(() => ({ keys: [first, second] })),
    )
    void answered.then(() => response.writeHead(200).end(old))
    request.resume()
  })
  travel(270 * SECOND)
  await vi.waitFor(() => expect(issuer.jwksRequests()).toBe(2))
  const verification = checkOf(verify(tokens.second(issuer)))
  release()
  expect(await verification).toBe('ok')
})

test('an unknown kid while the issuer is down is 503, not 401: the key may be new', async () => {
  await using issuer = await startIssuer()
  const { verify, pass } = verifierOf(issuer)
  await verify.ready()
  issuer.down = true
  expect(await checkOf(verify(tokens.second(issuer)))).toBe('keys')
  expect(await checkOf(verify(tokens.unknown(issuer, 'a')))).toBe('keys')
  const before = issuer.requests.length
  for (let i = 0; i < 50; i++) await checkOf(verify(tokens.unknown(issuer, `kid-${i}`)))
  expect(issuer.requests.length, 'there is a back-off').toBe(before)
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('ok')
  issuer.down = false
  issuer.keys = [first, second]
  pass(2 * SECOND)
  expect(await checkOf(verify(tokens.second(issuer)))).toBe('ok')
})

test('what is refused without a key costs no request', async () => {
  await using issuer = await startIssuer()
  const { verify } = verifierOf(issuer)
  for (const token of ['', 'a.b.c', issuer.mint.withHeader({ alg: 'none' }), issuer.mint.withHeader({ typ: 'JWT' })]) {
    expect(await checkOf(verify(token))).not.toBe('ok')
  }
  expect(await checkOf(verify(issuer.mint.withHeader({ jku: `${issuer.url}/attack` })))).toBe('header')
  expect(issuer.requests).toEqual([])
})

test('close() ends the renewal in the background; verification goes on', async () => {
  await using issuer = await startIssuer()
  const { verify, timers, travel } = verifierOf(issuer)
  await verify.ready()
  verify.close()
  expect(timers.size).toBe(0)
  travel(10 * MINUTE)
  await verify(tokens.usual(issuer))
  expect(timers.size).toBe(0)
})

test('a slip in onRefreshError stops nothing', async () => {
  await using issuer = await startIssuer()
  const { verify, travel } = verifierOf(issuer, {
    onRefreshError: () => {
      throw new Error('the log is full')
    },
  })
  await verify.ready()
  issuer.down = true
  travel(10 * MINUTE)
  await verify(tokens.usual(issuer))
})

test('keys that are given are all there is', async () => {
  await using issuer = await startIssuer()
  const { verify } = verifierOf(issuer, { jwks: { keys: [first] } })
  await verify.ready()
  await verify(tokens.usual(issuer))
  expect(await checkOf(verify(tokens.second(issuer)))).toBe('kid')
  expect(issuer.requests).toEqual([])
  const unfit = verifierOf(issuer, { jwks: { keys: [{ ...first, use: 'enc' }] } })
  await expect(unfit.verify.ready()).rejects.toThrow('"use": "sig"')
})

test.each<[string, () => unknown]>([
  [
    'throws',
    () => {
      throw new Error('no disk')
    },
  ],
  ['rejects', () => Promise.reject(new Error('no disk'))],
])('a listener for failed renewals that %s disturbs nobody', async (_what, onRefreshError) => {
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', note)
  await using issuer = await startIssuer()
  issuer.answers.clear()
  const { verify } = verifierOf(issuer, { onRefreshError })
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('keys')
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
})
