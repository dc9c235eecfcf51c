import { createHash, createPublicKey, verify } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Answer, Connection } from '../../bench/connection.ts'
import { makeProofKey, proving } from '../../bench/proofs.ts'
import { createRing } from '../../bench/ring.ts'
import { flooding, get, post, postForm, refreshing, repeating, signingIn, tokenIn } from '../../bench/sources.ts'
import { refreshTwice } from '../../bench/twice.ts'

const answer = (status: number, body = '', head = ''): Answer => ({ status, head, body })
const successor = (token: string): string => `{"access_token":"x","refresh_token":"${token}","token_type":"Bearer"}`

describe('ring', () => {
  test('gives out first what came first, and nothing twice', () => {
    const ring = createRing(['a', 'b'])
    expect([ring.take(), ring.take(), ring.take()]).toEqual(['a', 'b', undefined])
    ring.put('c')
    expect([ring.take(), ring.take()]).toEqual(['c', undefined])
  })

  test('keeps the order while it throws away what was given out', () => {
    const ring = createRing(Array.from({ length: 100 }, (_, n) => String(n)))
    // More than the ring gathers before it packs.
    for (let n = 0; n < 20_000; n++) {
      const token = ring.take()
      expect(token).toBe(String(n))
      ring.put(String(n + 100))
    }
  })
})

describe('refreshing', () => {
  test('sends the token and puts its successor in its place', () => {
    const ring = createRing(['one'])
    const item = refreshing('localhost:3000', ring)()
    expect(item?.request).toContain('{"refresh_token":"one"}')
    expect(ring.take()).toBeUndefined()
    expect(item?.judge(answer(200, successor('two')))).toEqual({ fault: undefined })
    expect([ring.take(), ring.take()]).toEqual(['two', undefined])
  })

  test.each([
    ['a refusal', answer(401), '401', undefined],
    ['a failure of the server', answer(503), '503', 'one'],
    ['no answer', undefined, 'no answer', 'one'],
    ['success without a token', answer(200, '{}'), 'no token', undefined],
  ])('%s is a fault, and only what may still be current goes back', (_what, given, fault, back) => {
    const ring = createRing(['one'])
    expect(refreshing('h', ring)()?.judge(given)).toEqual({ fault })
    expect(ring.take()).toBe(back)
  })

  test('gives out nothing when no chain is free', () => {
    expect(refreshing('h', createRing([]))()).toBeUndefined()
  })
})

test('refreshing apart: each request comes from an address of its own, as a proxy would say', () => {
  const source = refreshing('h', createRing(['a', 'b']), true)
  const addresses = [source(), source()].map((item) => /^x-forwarded-for: (\S+)\r$/m.exec(item?.request ?? '')?.[1])
  expect(addresses).toEqual(['198.18.0.0', '198.18.0.1'])
  expect(refreshing('h', createRing(['a']))()?.request).not.toContain('x-forwarded-for')
})

test('refreshing with a proof: each request has one that was made for it within the last second', () => {
  const { key, jkt } = makeProofKey()
  const url = 'http://localhost:3000/refresh'
  const item = refreshing('localhost:3000', createRing(['a']), false, proving(url, key))()
  const [, header = '', claims = '', signature = ''] =
    /^dpop: ([\w-]+)\.([\w-]+)\.([\w-]+)\r$/m.exec(item?.request ?? '') ?? []
  const { jwk, ...rest } = JSON.parse(Buffer.from(header, 'base64url').toString())
  expect(rest).toEqual({ typ: 'dpop+jwt', alg: 'ES256' })
  expect(createHash('sha256').update(JSON.stringify(jwk)).digest('base64url')).toBe(jkt)
  const { iat, ...others } = JSON.parse(Buffer.from(claims, 'base64url').toString())
  expect(others).toEqual({ jti: expect.any(String), htm: 'POST', htu: url })
  expect(Math.abs(Date.now() / 1000 - iat)).toBeLessThan(30)
  const verifying = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' } as const
  const input = Buffer.from(`${header}.${claims}`)
  expect(verify('sha256', input, verifying, Buffer.from(signature, 'base64url'))).toBe(true)
})

test('a flood sends its requests in turn and counts every answer by its status', () => {
  const source = flooding(['a', 'b'])
  expect([source(), source(), source()].map((item) => item?.request)).toEqual(['a', 'b', 'a'])
  expect([answer(204), answer(429), undefined].map((given) => source()?.judge(given).fault)).toEqual([
    '204',
    '429',
    'no answer',
  ])
})

describe('signing in', () => {
  test('takes the accounts in turn', () => {
    const source = signingIn('h', ['a@x', 'b@x'], 'secret')
    const emails = [source(), source(), source()].map((item) => /"email":"([^"]+)"/.exec(item?.request ?? '')?.[1])
    expect(emails).toEqual(['a@x', 'b@x', 'a@x'])
  })

  test('waits one to two times as long as a 503 says, and not at all otherwise', () => {
    const judge = signingIn('h', ['a@x'], 'secret')()?.judge
    const busy = judge?.(answer(503, '', 'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\nx: y'))
    expect(busy?.fault).toBe('503')
    expect(busy?.waitMs).toBeGreaterThanOrEqual(3000)
    expect(busy?.waitMs).toBeLessThanOrEqual(6000)
    expect(judge?.(answer(200))).toEqual({ fault: undefined, waitMs: 0 })
    expect(judge?.(undefined)).toEqual({ fault: 'no answer', waitMs: 0 })
  })
})

test('a request names the host and counts bytes, not characters', () => {
  expect(post('h:1', '/p', 'ü', 'x-a: b\r\n')).toBe(
    'POST /p HTTP/1.1\r\nhost: h:1\r\ncontent-type: application/json\r\nx-a: b\r\ncontent-length: 2\r\n\r\nü',
  )
  expect(postForm('h', '/f', { a: 'ü&' })).toBe(
    'POST /f HTTP/1.1\r\nhost: h\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 11\r\n\r\na=%C3%BC%26',
  )
  expect(repeating(get('h', '/jwks'))()?.request).toBe('GET /jwks HTTP/1.1\r\nhost: h\r\n\r\n')
  expect(repeating(get('h', '/'))()?.judge(answer(304))).toEqual({ fault: '304' })
})

test('the token in a reply', () => {
  expect(tokenIn(successor('clv_1'))).toBe('clv_1')
  expect(tokenIn('{"access_token":"x"}')).toBeUndefined()
})

describe('one token to two replicas', () => {
  /** Two replicas that answer the n-th exchange as told; the pair of answers decides. */
  async function twice(pairs: [Answer | undefined, Answer | undefined][], tokens = ['t0']) {
    const sent: { port: number; request: string }[] = []
    const connect = (port: number | URL): Connection => {
      let step = 0
      return {
        send: async (request) => {
          sent.push({ port: Number(port), request })
          const given = pairs[step++]?.[Number(port) - 1]
          if (!given) throw new Error('reset')
          return given
        },
        close: () => {},
      }
    }
    const to = { ports: [1, 2] as [number, number], chains: 1, seconds: 5 }
    const outcome = await refreshTwice('h', createRing(tokens), to, connect)
    return { outcome, sent }
  }

  test('the same successor from both is good, and goes to both next, under another key', async () => {
    const same = answer(200, successor('t1'))
    const { outcome, sent } = await twice([
      [same, same],
      [answer(500), answer(500)],
    ])
    expect(outcome).toMatchObject({ done: 1, faults: { 500: 1 } })
    expect(sent.map(({ port }) => port)).toEqual([1, 2, 1, 2])
    const [first, second, third, fourth] = sent.map(({ request }) => ({
      token: /"refresh_token":"(\w+)"/.exec(request)?.[1],
      key: /idempotency-key: (\S+)/.exec(request)?.[1],
    }))
    expect(first).toEqual(second)
    expect(third).toEqual(fourth)
    expect([first?.token, third?.token]).toEqual(['t0', 't1'])
    expect(first?.key).not.toBe(third?.key)
  })

  test.each([
    ['two successors', answer(200, successor('t1')), answer(200, successor('t2')), 'second successor'],
    ['one refused', answer(200, successor('t1')), answer(401), '401'],
    ['one did not answer', undefined, answer(200, successor('t1')), 'no answer'],
  ])('%s: a fault, and the end of the chain', async (_what, one, other, fault) => {
    const { outcome, sent } = await twice([[one, other]])
    expect(outcome).toMatchObject({ done: 0, faults: { [fault]: 1 } })
    expect(sent).toHaveLength(2)
  })

  test('success without a successor is no good answer', async () => {
    const { outcome } = await twice([[answer(200, '{}'), answer(200, '{}')]])
    expect(outcome).toMatchObject({ done: 0, faults: { 'no token': 1 } })
  })
})
