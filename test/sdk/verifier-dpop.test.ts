import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { compactVerify, type JWK } from 'jose'
import { describe, expect, test } from 'vitest'
import type { Vectors } from '../../sdk/verifier/make-vectors.ts'
import { bySubtle, sha256 } from '../../sdk/verifier/src/dpop/hash.ts'
import { createReplays } from '../../sdk/verifier/src/dpop/replays.ts'
import { normalise, targetOf } from '../../sdk/verifier/src/dpop/target.ts'
import { type DpopSettings, type SentProof, VerificationError } from '../../sdk/verifier/src/index.ts'
import { NOW, TARGET } from '../../sdk/verifier/vectors/prover.ts'
import { client, issuer, mint, ORIGIN, settings, verifierWith } from './dpop-support.ts'
import { checkOf, fakeTime, SECOND } from './verifier-support.ts'

const text = readFileSync(new URL('../../sdk/verifier/vectors.json', import.meta.url), 'utf8')
const { dpop } = JSON.parse(text) as Vectors
const { method, url, now } = dpop
const request = (header: SentProof['header']): { proof: SentProof } => ({ proof: { header, method, url } })
const at = (seconds: number) => ({ now: () => seconds * SECOND })
const usual = client.prove()
const ALGS = 'ES256 ES384 ES512 Ed25519 EdDSA PS256 RS256'

describe('the vectors', () => {
  test.each(dpop.valid)('$name is accepted', async ({ token, proof }) => {
    const claims = await verifierWith('required', at(now))(token, request(proof))
    expect(claims.cnf?.jkt).toMatch(/^[\w-]{43}$/)
  })

  test.each(dpop.bad)('$name is refused', async ({ name, token, proof }) => {
    const error = await verifierWith('required', at(now))(token, request(proof)).catch((reason: unknown) => reason)
    const isUnbound = name === 'for-an-unbound-token'
    expect(error).toBeInstanceOf(VerificationError)
    expect(error).toMatchObject({ check: isUnbound ? 'claim' : 'dpop', status: 401 })
    const code = isUnbound ? 'invalid_token' : 'invalid_dpop_proof'
    expect((error as VerificationError).headers).toEqual({ 'www-authenticate': `DPoP error="${code}", algs="${ALGS}"` })
    const shown = [String(error), inspect(error, { depth: 9 })].join('\n')
    for (const part of proof.split('.').filter((each) => each.length > 30))
      expect(shown).not.toContain(part.slice(0, 30))
  })

  test('names and proofs are unique', () => {
    const all = [...dpop.valid, ...dpop.bad]
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length)
    expect(new Set(all.map(({ proof }) => proof)).size).toBe(all.length)
  })

  // Refusing what is broken in two ways would prove nothing.
  test('those that are wrong in their claims alone are well signed', async () => {
    const inClaims = dpop.bad.filter(({ name }) => /^(htm|htu|iat|ath|jti|nonce)-|twice$/.test(name))
    expect(inClaims.length).toBeGreaterThan(20)
    for (const { name, proof } of inClaims) {
      await expect(compactVerify(proof, client.jwk as JWK, { algorithms: ['ES256'] }), name).resolves.toBeDefined()
    }
  })
})

describe('a bound token', () => {
  const bearer = [undefined, 'accepted', 'required', settings(), settings({ mode: 'required' })] as const

  test.each(bearer)('without a proof is refused by a verifier with dpop %j', async (options) => {
    const verify = verifierWith(options, at(NOW))
    expect(await checkOf(verify(client.token))).toBe('dpop')
    expect(await checkOf(verify(client.token, request(undefined)))).toBe('dpop')
  })

  test('with its proof passes where nobody has asked for dpop, as it was handed in', async () => {
    expect(await checkOf(verifierWith(undefined, at(NOW))(client.token, request(usual)))).toBe('ok')
    expect(await checkOf(verifierWith(undefined, at(NOW))(mint.withHeader({}), request(usual)))).toBe('claim')
  })

  test('an unbound one is enough where bound ones are accepted, and too little where they are required', async () => {
    const token = mint.withHeader({})
    expect(await checkOf(verifierWith('accepted')(token))).toBe('ok')
    expect(await checkOf(verifierWith('accepted')(token, request(undefined)))).toBe('ok')
    expect(await checkOf(verifierWith('required')(token))).toBe('claim')
    expect(await checkOf(verifierWith('accepted')(token, { dpop: 'required' }))).toBe('claim')
    expect(await checkOf(verifierWith('required')(token, { dpop: 'accepted' }))).toBe('ok')
  })

  test('a list of proofs is none, also one of a single proof', async () => {
    const verify = verifierWith('accepted', at(NOW))
    expect(await checkOf(verify(client.token, request([usual, usual])))).toBe('dpop')
    expect(await checkOf(verify(client.token, request([usual])))).toBe('dpop')
  })

  test('nothing of a proof is looked at for a token that is bad itself', async () => {
    const forged = `${client.token.slice(0, -4)}AAAA`
    let asked = 0
    const isReplay = (): boolean => ++asked > 0
    const verify = verifierWith({ mode: 'accepted', isReplay }, at(NOW))
    expect(await checkOf(verify(forged, request(usual)))).toBe('signature')
    expect(await checkOf(verify(client.token, request(client.prove({ htm: 'GET' }))))).toBe('dpop')
    expect(asked).toBe(0)
  })

  test('challenges list every scheme that is taken, and say what failed at the one that was used', async () => {
    const headersOf = async (outcome: Promise<unknown>) =>
      ((await outcome.catch((error: unknown) => error)) as VerificationError).headers['www-authenticate']
    const accepted = verifierWith('accepted', at(NOW))
    expect(await headersOf(accepted(client.token))).toBe(`DPoP error="invalid_dpop_proof", algs="${ALGS}", Bearer`)
    expect(await headersOf(accepted('x'))).toBe(`Bearer error="invalid_token", DPoP algs="${ALGS}"`)
    expect(await headersOf(accepted('x', request(usual)))).toBe(`DPoP error="invalid_token", algs="${ALGS}", Bearer`)
    // It could not be told to use a scheme that nobody takes there.
    expect(await headersOf(verifierWith(undefined)(client.token))).toBe('Bearer error="invalid_token"')
  })
})

describe('a proof that comes twice', () => {
  test('is refused the second time, by every route, and also at once', async () => {
    const verify = verifierWith('accepted', at(NOW))
    const outcomes = await Promise.all([1, 2, 3].map(() => checkOf(verify(client.token, request(usual)))))
    expect(outcomes.toSorted()).toEqual(['dpop', 'dpop', 'ok'])
    expect(await checkOf(verify(client.token, { ...request(usual), dpop: 'required' }))).toBe('dpop')
    expect(await checkOf(verify(client.token, request(client.prove({ jti: 'another' }))))).toBe('ok')
  })

  test('is refused as long as its time would let it pass, and by its time afterwards', async () => {
    const time = fakeTime()
    const iat = time.around.now() / 1000
    const verify = verifierWith('accepted', time.around)
    const proof = client.prove({ iat: iat + 60 })
    expect(await checkOf(verify(client.token, request(proof)))).toBe('ok')
    for (const seconds of [59, 60, 1, 1]) {
      time.pass(seconds * SECOND)
      expect(await checkOf(verify(client.token, request(proof)))).toBe('dpop')
    }
  })

  test('the memory forgets what could not be proved any more, and the oldest where there is no room', () => {
    let at = 0
    const isReplay = createReplays(() => at, 3)
    const keys = [...'abcdefg']
    for (const key of keys) expect(isReplay(key, 10)).toBe(false)
    // At least the last three.
    for (const key of keys.slice(-3)) expect(isReplay(key, 10)).toBe(true)
    // At most six.
    expect(isReplay('a', 10)).toBe(false)
    at = 11
    expect(isReplay('h', 20)).toBe(false)
    expect(isReplay('i', 20)).toBe(false)
    expect(isReplay('g', 20)).toBe(false)
    expect(isReplay('h', 20)).toBe(true)
  })

  test('processes share a memory, which is told a key of fixed form and until when to keep it', async () => {
    const seen = new Map<string, number>()
    const isReplay = async (key: string, until: number): Promise<boolean> => {
      const known = seen.has(key)
      seen.set(key, until)
      return known
    }
    const [one, other] = [1, 2].map(() => verifierWith(settings({ isReplay, maxAge: 20 }), at(NOW)))
    const proof = client.prove({ jti: 'a\n"\u{1f600}', iat: NOW - 0.5 })
    expect(await checkOf(one?.(client.token, request(proof)) ?? Promise.resolve())).toBe('ok')
    expect(await checkOf(other?.(client.token, request(proof)) ?? Promise.resolve())).toBe('dpop')
    expect([...seen.keys()].join()).toMatch(/^[\w-]{43}$/)
    expect([...seen.values()]).toEqual([(NOW + 39.5) * 1000])
  })

  test('is refused also where a clock is a little behind, or is set back', async () => {
    let now = NOW
    const proof = client.prove({ iat: NOW })
    const kept = new Map<string, number>()
    const isReplay = (key: string, until: number): boolean => {
      const known = (kept.get(key) ?? 0) > now * SECOND
      kept.set(key, until)
      return known
    }
    for (const options of [settings(), settings({ isReplay })]) {
      now = NOW
      const verify = verifierWith(options, { now: () => now * SECOND })
      expect(await checkOf(verify(client.token, request(proof)))).toBe('ok')
      now += 61
      expect(await checkOf(verify(client.token, request(client.prove({ jti: 'a', iat: now }))))).toBe('ok')
      // The clock of the memory is not behind.
      const late = verifierWith(options, { now: () => (now - 5) * SECOND })
      if (options.isReplay) expect(await checkOf(late(client.token, request(proof)))).toBe('dpop')
      now -= 5
      expect(await checkOf(verify(client.token, request(proof)))).toBe('dpop')
    }
  })

  test('may be asked about several times for one request, and each memory is asked once', async () => {
    const seen: string[] = []
    const isReplay = (key: string): boolean => seen.includes(key) || seen.push(key) === 0
    const verify = verifierWith(settings(), at(NOW))
    const one = {}
    const sent = (of: object, proof = usual) => ({ proof: { ...request(proof).proof, request: of } })
    expect(await checkOf(verify(client.token, sent(one)))).toBe('ok')
    expect(await checkOf(verify(client.token, { ...sent(one), dpop: 'required' }))).toBe('ok')
    for (const again of [false, true]) {
      expect(await checkOf(verify(client.token, { ...sent(one), dpop: { isReplay } })), `${again}`).toBe('ok')
    }
    expect(seen).toHaveLength(1)
    expect(await checkOf(verify(client.token, sent({})))).toBe('dpop')
    expect(await checkOf(verify(client.token, { ...sent({}), dpop: { isReplay } }))).toBe('dpop')
    const other = client.prove({ jti: 'another' })
    expect(await checkOf(verify(client.token, sent({}, other)))).toBe('ok')
    expect(await checkOf(verify(client.token, sent(one, other)))).toBe('dpop')
    const forged = `${usual.slice(0, -4)}AAAA`
    expect(await checkOf(verify(client.token, sent(one, forged)))).toBe('dpop')
  })

  test.each<[string, unknown]>([
    [
      'throws',
      () => {
        throw new Error('away')
      },
    ],
    [
      'rejects',
      async () => {
        throw new TypeError('away')
      },
    ],
    ['gives nothing', () => undefined],
    ['gives a number', async () => 0],
  ])('where the memory %s, nobody can tell: 503', async (_how, isReplay) => {
    const verify = verifierWith(settings({ isReplay: isReplay as () => boolean }), at(NOW))
    const error = await verify(client.token, request(usual)).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ check: 'replays', status: 503, headers: { 'retry-after': '1' } })
  })
})

describe('the URL', () => {
  test.each([
    ['/items?page=2', ORIGIN, TARGET],
    ['/items#x', ORIGIN, TARGET],
    ['//attacker.example/items', ORIGIN, `${ORIGIN}//attacker.example/items`],
    ['/\\attacker.example/items', ORIGIN, `${ORIGIN}//attacker.example/items`],
    ['https://attacker.example/items?x', ORIGIN, TARGET],
    ['/items', `${ORIGIN}/api`, `${ORIGIN}/api/items`],
    ['/../items', `${ORIGIN}/%c3pi`, undefined],
    ['/a/%2E%2e/items', `${ORIGIN}/%c3pi`, `${ORIGIN}/%C3pi/items`],
    ['/../apis/items', `${ORIGIN}/api`, undefined],
    ['/a/../../api/items', `${ORIGIN}/api`, `${ORIGIN}/api/items`],
    ['/../items', ORIGIN, TARGET],
    ['/%c3%A4', ORIGIN, `${ORIGIN}/%C3%A4`],
    ['/%7Eada/%2Dx%2fy%252e', ORIGIN, `${ORIGIN}/~ada/-x%2Fy%252e`],
    ['*', ORIGIN, undefined],
    ['@attacker.example/', ORIGIN, undefined],
    ['HTTPS://Orders.example:443/items?x', undefined, TARGET],
  ])('%s at %s is %s', (sent, origin, expected) => {
    expect(targetOf(sent, origin)).toBe(expected)
  })

  test('with an origin, the host that a request names counts for nothing', async () => {
    const verify = verifierWith(settings(), at(NOW))
    const htu = 'https://attacker.example/items'
    const proof = { header: client.prove({ htu }), method, url: htu }
    expect(await checkOf(verify(client.token, { proof }))).toBe('dpop')
  })

  test('a path alone says too little where there is no origin', async () => {
    const proof = { header: usual, method, url: '/items' }
    await expect(verifierWith('accepted', at(NOW))(client.token, { proof })).rejects.toThrow(TypeError)
  })

  test('what is no URL of a request names nothing', () => {
    for (const other of ['', 'items', 'file:///items', 'blob:https://orders.example/x', 'https://a@orders.example/'])
      expect(normalise(other)).toBeUndefined()
  })
})

test.each<[string, unknown]>([
  ['another word', 'optional'],
  ['true', true],
  ['a list', ['required']],
  ['a slip', { mode: 'required', orgin: ORIGIN }],
  ['an origin that is no URL', settings({ origin: 'orders.example' })],
  ['an origin of another scheme', settings({ origin: 'file:///x' })],
  ['an origin with a query', settings({ origin: `${ORIGIN}?a` })],
  ['an origin with a user', settings({ origin: 'https://a:b@orders.example' })],
  ['a memory that is no function', { mode: 'required', isReplay: new Map() }],
  ['an age of an hour', settings({ maxAge: 3600 })],
  ['an age that is no number', settings({ maxAge: Number.NaN })],
])('%s is refused when the verifier is made', (_name, options) => {
  expect(() => verifierWith(options as 'required')).toThrow(TypeError)
  expect(() => verifierWith('required').checkOptions({ dpop: options as 'required' })).toThrow(TypeError)
})

test('a route takes from its verifier what it does not say, and somebody has to say the mode', () => {
  expect(() => verifierWith({ origin: ORIGIN } as DpopSettings)).toThrow(TypeError)
  expect(() => verifierWith().checkOptions({ dpop: { origin: ORIGIN } })).toThrow(TypeError)
  const verify = verifierWith(settings())
  expect(verify.schemes({})).toEqual(['Bearer', 'DPoP'])
  expect(verify.schemes({ dpop: 'required' })).toEqual(['DPoP'])
  expect(verify.schemes({ dpop: { mode: 'required', origin: undefined } as object })).toEqual(['DPoP'])
  expect(() => verifierWith('accepted').schemes({})).toThrow(/origin/)
  expect(verifierWith().schemes({})).toEqual(['Bearer'])
})

test('whatever stands in the header, nothing but VerificationError is thrown', async () => {
  const verify = verifierWith(settings(), at(NOW))
  const [head = '', payload = '', signature = ''] = usual.split('.')
  const encoded = fc.json({ maxDepth: 4 }).map((json) => Buffer.from(json).toString('base64url'))
  const part = fc.oneof(encoded, fc.constantFrom(head, payload, signature, ''), fc.string())
  const jwk = fc.dictionary(
    fc.constantFrom('kty', 'crv', 'x', 'y', 'n', 'e', 'use'),
    fc.oneof(fc.jsonValue(), fc.constantFrom('EC', 'RSA', 'OKP', 'P-256', 'AQAB', client.jwk.x, client.jwk.y)),
  )
  const built = fc
    .record({ alg: fc.constantFrom(...ALGS.split(' ')), jwk })
    .map(
      (header) =>
        `${Buffer.from(JSON.stringify({ ...client.header, ...header })).toString('base64url')}.${payload}.${signature}`,
    )
  const header = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.tuple(part, part, part).map((parts) => parts.join('.')),
    built,
  )
  await fc.assert(
    fc.asyncProperty(header, fc.string(), fc.string(), async (proof, sentMethod, path) => {
      const sent = { proof: { header: proof, method: sentMethod, url: `/${path}` } }
      const error: unknown = await verify(client.token, sent).catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(VerificationError)
    }),
    { numRuns: 100 },
  )
})

test('where there is nothing but WebCrypto, hashes are the same', async () => {
  for (const each of ['', issuer, 'ä\ud800', client.token]) expect(await bySubtle(each)).toBe(await sha256(each))
})
