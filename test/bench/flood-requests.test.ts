import { expect, test } from 'vitest'
import { type Flood, floods, keySet, requestsOf, type Stranger } from '../../bench/flood-requests.ts'

const stranger = (n: number): Stranger => ({ refreshToken: `rt1_${n}`, accessToken: `at${n}` })
const addressOf = (request: string) => /^x-forwarded-for: (\S+)\r$/m.exec(request)?.[1]

test.each([...floods, keySet].map((flood): [string, Flood] => [flood.what, flood]))(
  'a flood of %s: each stranger has one address and their own tokens',
  (_what, flood) => {
    const strangers = Array.from({ length: 300 }, (_, n) => stranger(n))
    const requests = requestsOf(flood, 'h', strangers)
    const tokens = new Map<string | undefined, Set<string | undefined>>()
    for (const request of requests) {
      expect(request).toMatch(/^(GET|POST) \S+ HTTP\/1\.1\r\nhost: h\r\n/)
      const of = tokens.get(addressOf(request)) ?? new Set()
      tokens.set(addressOf(request), of.add(/rt1_\d+|at\d+/.exec(request)?.[0]))
    }
    expect(tokens.size).toBe(300)
    expect([...tokens.values()].every((each) => each.size === 1)).toBe(true)
  },
)

test('one stranger has one address, which no user has', () => {
  for (const flood of floods) {
    expect(new Set(requestsOf(flood, 'h', [stranger(1)]).map(addressOf))).toEqual(new Set(['198.19.0.0']))
  }
})

test('accounts to register differ, so that each costs a hash', () => {
  const register = floods.find(({ what }) => what === '/register') as Flood
  const requests = requestsOf(register, 'h', [stranger(1)])
  expect(new Set(requests.map((request) => /"email":"([^"]+)"/.exec(request)?.[1])).size).toBe(requests.length)
})
