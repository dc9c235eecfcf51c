import { createHmac, generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { describe, expect, test, vi } from 'vitest'
import { createDpopJudge } from '../../src/dpop/judge.ts'
import { readProof } from '../../src/dpop/proof.ts'
import { Problem } from '../../src/errors.ts'
import { testConfig } from '../http/support.ts'
import { createProofKey, type ProofAlgorithm, type ProofInput, type ProofKey } from '../support/dpop.ts'
import { encode } from '../support/jwt.ts'
import { testKeys } from './support.ts'

const URL_OF_LOGIN = 'https://auth.example.com/login'
const now = new Date('2026-05-01T12:00:00Z')
const seconds = now.getTime() / 1000
const expected = { method: 'POST', url: URL_OF_LOGIN, now }
const own = { method: 'POST', url: URL_OF_LOGIN, iat: seconds }

const KEYS = Object.fromEntries(
  (['ES256', 'ES384', 'ES512', 'Ed25519', 'EdDSA', 'PS256', 'RS256'] as const).map((alg) => [alg, createProofKey(alg)]),
) as Record<ProofAlgorithm, ProofKey>
const key = KEYS.ES256
const judge = createDpopJudge({ config: testConfig(), serverKeys: testKeys(), clock: () => now })

/** Why it is refused, or `accepted`. */
async function outcomeOf(proof: string): Promise<string> {
  try {
    const read = judge.read({ proofs: [proof], method: 'POST', path: '/login' })
    if (read) await judge.prove(read, 'here')
    return 'accepted'
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    expect([error.code, error.status]).toEqual(['invalid_dpop_proof', 400])
    return error.reason ?? 'without a reason'
  }
}

const reading = (change: Partial<ProofInput>, of = key) => outcomeOf(of.proof({ ...own, ...change }))

describe.each(Object.entries(KEYS))('%s', (alg, { proof, jkt, jwk, sign }) => {
  test('a proper proof is accepted, and tells its key', async () => {
    const read = readProof(proof(own), expected)
    expect(read).toMatchObject({ alg, jkt, nonce: undefined })
    expect(await judge.prove(read, 'here')).toEqual({ jkt, fresh: false })
  })

  test('a signature over something else, of another length, or spelled otherwise is refused', async () => {
    const [head, body, signature = ''] = proof(own).split('.')
    const other = proof({ ...own, jti: 'other' }).split('.')[2]
    expect(await outcomeOf(`${head}.${body}.${other}`)).toBe('proof signature')
    const bytes = Buffer.from(signature, 'base64url')
    const longer = Buffer.concat([bytes, Buffer.alloc(1)]).toString('base64url')
    expect(() => readProof(`${head}.${body}.${longer}`, expected)).toThrow('proof signature')
    expect(await outcomeOf(`${head}.${body}.${longer}`)).toBe('proof signature')
    expect(await outcomeOf(`${head}.${body}.${bytes.subarray(1).toString('base64url')}`)).toBe('proof signature')
    expect(await outcomeOf(`${head}.${body}.${signature}=`)).toBe('proof shape')
    expect(await outcomeOf(`${head}.${body}.${'A'.repeat(signature.length)}`)).toBe('proof signature')
  })

  test('the name of another algorithm is refused', async () => {
    for (const other of [...Object.keys(KEYS), 'none', 'HS256', 'ES256K', 'RS512', 'ed25519']) {
      const isSame = other === alg || (jwk.kty === 'OKP' && ['Ed25519', 'EdDSA'].includes(other))
      // PS256 and RS256 have keys of one kind; the signature is another.
      if (isSame) continue
      const reason = await outcomeOf(sign({ typ: 'dpop+jwt', alg: other, jwk }, claims()))
      expect(reason, other).toMatch(/^proof (header|key|signature)$/)
    }
  })
})

function claims(change: Record<string, unknown> = {}) {
  return { jti: Math.random().toString(36), htm: 'POST', htu: URL_OF_LOGIN, iat: seconds, ...change }
}

test('a proof under the longest key that is accepted has room', async () => {
  const long = createProofKey('RS256', 4096)
  const proof = long.proof({ ...own, jti: 'j'.repeat(256), nonce: judge.nonce(), accessToken: 'token' })
  expect(proof.length).toBeLessThan(3200)
  expect(await outcomeOf(proof)).toBe('accepted')
}, 30_000)

test.each(Object.keys(KEYS))('a proof that jose has signed by %s is accepted', async (alg) => {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = await exportJWK(publicKey)
  const proof = await new SignJWT(claims()).setProtectedHeader({ typ: 'dpop+jwt', alg, jwk }).sign(privateKey)
  expect(readProof(proof, expected).jkt).toBe(await calculateJwkThumbprint(jwk))
  expect(await outcomeOf(proof)).toBe('accepted')
})

describe('the shape', () => {
  test('no more than 4 KiB are read', async () => {
    const room = 4096 - key.proof({ ...own, claims: { other: '' } }).length
    expect(await reading({ claims: { other: 'x'.repeat(Math.floor(room * 0.75) - 4) } })).toBe('accepted')
    expect(await reading({ claims: { other: 'x'.repeat(room) } })).toBe('proof shape')
    expect(await reading({ claims: { other: 'x'.repeat(6000) } })).toBe('proof shape')
  })

  test('one that would take long to read is refused before it is read', async () => {
    const many = Array.from({ length: 300 }, (_, n) => n.toString(36))
    expect(await reading({ claims: Object.fromEntries(many.map((name) => [name, 0])) })).toBe('proof shape')
    expect(await reading({ claims: { other: many.map(() => []) } })).toBe('proof shape')
    expect(await reading({ header: { jwk: { ...key.jwk, key_ops: many } } })).toBe('proof shape')
    expect(await reading({ claims: { other: many.slice(0, 50) } })).toBe('accepted')
    const parse = vi.spyOn(URL, 'canParse')
    expect(await reading({ claims: { htu: `${URL_OF_LOGIN}/${'\u{1f511}'.repeat(600)}` } })).toBe('proof htu')
    expect(parse).not.toHaveBeenCalled()
  })

  test('it is a compact JWS of two objects', async () => {
    const [head = '', body = '', signature = ''] = key.proof(own).split('.')
    const deep = `${'['.repeat(900)}${']'.repeat(900)}`
    for (const text of [
      '',
      '.',
      '..',
      head,
      `${head}.${body}`,
      `${head}.${body}.`,
      `${head}..${signature}`,
      `.${body}.${signature}`,
      `${head}.${body}.${signature}.`,
      `${head}.${body}.${signature}.${signature}.${signature}`,
      ` ${head}.${body}.${signature}`,
      `${head}.${body}.${signature}, ${head}.${body}.${signature}`,
      `${head}=.${body}.${signature}`,
      key.sign('null', claims()),
      key.sign('[]', claims()),
      key.sign('"text"', claims()),
      key.sign('{', claims()),
      key.sign(deep, claims()),
      key.sign({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk }, 'null'),
      key.sign({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk }, '[]'),
      key.sign({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk }, deep),
      key.sign({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk }, '\ufeff{}'),
    ]) {
      expect(await outcomeOf(text), text.slice(0, 80)).toBe('proof shape')
    }
  })

  test('bytes that are no UTF-8 are refused', async () => {
    const text = JSON.stringify(claims({ jti: 'é' }))
    const [head, , signature] = key.proof(own).split('.')
    const body = Buffer.from(text, 'latin1').toString('base64url')
    expect(await outcomeOf(`${head}.${body}.${signature}`)).toBe('proof shape')
  })

  test('a member that is named twice is refused, whichever of them counts elsewhere', async () => {
    const twice = JSON.stringify(claims()).replace('{', '{"htu":"https://other.example.com/",')
    expect(await outcomeOf(key.sign({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk }, twice))).toBe('proof shape')
    const header = JSON.stringify({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk })
    expect(await outcomeOf(key.sign(header.replace('{', '{"alg":"none",'), claims()))).toBe('proof shape')
    expect(await outcomeOf(key.sign(header.replace('{', '{"\\u0061lg":"none",'), claims()))).toBe('proof shape')
    expect(await outcomeOf(key.sign(header.replace('"kty"', '"kty":"oct","kty"'), claims()))).toBe('proof shape')
  })
})

describe('the protected header', () => {
  test.each<[string, Record<string, unknown>]>([
    ['another typ', { typ: 'JWT' }],
    ['a longer typ', { typ: 'application/dpop+jwt' }],
    ['typ in capitals', { typ: 'DPOP+JWT' }],
    ['no typ', { typ: undefined }],
    ['no alg', { alg: undefined }],
    ['alg none', { alg: 'none' }],
    ['a list of algs', { alg: ['ES256'] }],
    ['crit', { crit: ['exp'] }],
    ['an empty crit', { crit: [] }],
    ['b64', { b64: false }],
    ['jku', { jku: 'https://keys.example.com' }],
    ['x5u', { x5u: 'https://keys.example.com' }],
    ['x5c', { x5c: [] }],
    ['nonce', { nonce: 'here' }],
    ['another parameter', { zip: null }],
  ])('%s is refused', async (_name, header) => {
    expect(await reading({ header })).toBe('proof header')
  })

  test('a kid is ignored', async () => {
    expect(await reading({ header: { kid: 'main' } })).toBe('accepted')
  })

  test('HS256 with the public key as its secret is refused', async () => {
    const jwk = { kty: 'oct', k: encode(JSON.stringify(key.jwk)) }
    const input = `${encode({ typ: 'dpop+jwt', alg: 'HS256', jwk })}.${encode(claims())}`
    const mac = createHmac('sha256', JSON.stringify(key.jwk)).update(input).digest('base64url')
    expect(await outcomeOf(`${input}.${mac}`)).toBe('proof header')
  })
})

describe('the claims', () => {
  test.each<[string, Record<string, unknown>, string]>([
    ['no jti', { jti: undefined }, 'proof claims'],
    ['an empty jti', { jti: '' }, 'proof claims'],
    ['a number for jti', { jti: 7 }, 'proof claims'],
    ['a jti of 257 characters', { jti: 'j'.repeat(257) }, 'proof claims'],
    ['no htm', { htm: undefined }, 'proof htm'],
    ['another htm', { htm: 'GET' }, 'proof htm'],
    ['htm in small letters', { htm: 'post' }, 'proof htm'],
    ['a list of methods', { htm: ['POST'] }, 'proof htm'],
    ['no iat', { iat: undefined }, 'proof claims'],
    ['iat as text', { iat: String(seconds) }, 'proof claims'],
    ['iat null', { iat: null }, 'proof claims'],
    ['a number for nonce', { nonce: 7 }, 'proof claims'],
    ['nonce null', { nonce: null }, 'proof claims'],
  ])('%s is refused', async (_name, change, reason) => {
    expect(await reading({ claims: change })).toBe(reason)
  })

  test('an iat beyond every number is refused', async () => {
    const text = JSON.stringify(claims()).replace(`"iat":${seconds}`, '"iat":1e400')
    expect(await outcomeOf(key.sign({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk }, text))).toBe('proof claims')
  })

  test.each([
    [-61, 'proof iat'],
    [-60, 'accepted'],
    [60, 'accepted'],
    [61, 'proof iat'],
    [-1e9, 'proof iat'],
    [1e9, 'proof iat'],
  ])('an iat of %i seconds from now: %s', async (off, outcome) => {
    expect(await reading({ iat: seconds + off })).toBe(outcome)
  })

  test('other claims are ignored', async () => {
    expect(await reading({ claims: { iss: 'me', exp: 1, nbf: 1e12, ath: 'of no token', aud: null } })).toBe('accepted')
  })

  test('beside an access token the proof is for this one', () => {
    const of = (proof: string) => () => readProof(proof, { ...expected, accessToken: 'token' })
    expect(of(key.proof({ ...own, accessToken: 'token' }))).not.toThrow()
    for (const proof of [
      key.proof({ ...own, accessToken: 'another' }),
      key.proof(own),
      key.proof({ ...own, claims: { ath: 'token' } }),
      key.proof({ ...own, claims: { ath: null } }),
    ]) {
      expect(of(proof)).toThrow(expect.objectContaining({ code: 'invalid_dpop_proof', reason: 'proof ath' }))
    }
  })
})

describe('the URL', () => {
  test.each([
    'HTTPS://AUTH.EXAMPLE.COM/login',
    'https://auth.example.com:443/login',
    'https://auth.example.com/login?x=1',
    'https://auth.example.com/login#part',
    'https://auth.example.com/login?',
    'https://auth.example.com/a/../login',
    'https://auth.example.com/./login',
    'https://auth.example.com/%6cogin',
    'https://auth.example.com/%6Cogin',
  ])('%s is this one', async (htu) => {
    expect(await reading({ claims: { htu } })).toBe('accepted')
  })

  test.each([
    undefined,
    null,
    7,
    '',
    '/login',
    'auth.example.com/login',
    'http://auth.example.com/login',
    'https://auth.example.com',
    'https://auth.example.com/Login',
    'https://auth.example.com/login/',
    'https://auth.example.com//login',
    'https://auth.example.com/%2flogin',
    'https://auth.example.com:8443/login',
    'https://auth.example.com.evil.example/login',
    'https://evil.example/login',
    'https://me@auth.example.com/login',
    'https://:@auth.example.com/login',
    'https://auth.example.com@evil.example/login',
    'https:auth.example.com/login',
    'https:///auth.example.com/login',
    'https:\\\\auth.example.com\\login',
    ' https://auth.example.com/login',
    'https://auth.example.com/lo\tgin',
    ['https://auth.example.com/login'],
  ])('%j is another', async (htu) => {
    expect(await reading({ claims: { htu } })).toBe('proof htu')
  })

  test('escapes that stand for something else than a letter are compared by their bytes', () => {
    const reads = (htu: string, url: string) => () => readProof(key.proof({ ...own, url: htu }), { ...expected, url })
    expect(reads('https://a.example/%2f%c3%a9', 'https://a.example/%2F%C3%A9')).not.toThrow()
    expect(reads('https://a.example/é', 'https://a.example/%C3%A9')).not.toThrow()
    expect(reads('https://a.example/%2F', 'https://a.example//')).toThrow('proof htu')
  })
})

test('a request whose own URL cannot be read has no proof that is for it, least of all one without a URL', () => {
  for (const url of ['', '/login', 'https://auth.example.com/lo gin', 'https://me@auth.example.com/login']) {
    for (const htu of [undefined, null, '', url]) {
      const proof = key.proof({ ...own, claims: { htu } })
      expect(() => readProof(proof, { ...expected, url })).toThrow('proof htu')
    }
  }
})

test('whatever a proof is, it is refused with a reason and nothing else is thrown', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const odd = fc.oneof(fc.jsonValue(), fc.constantFrom(privateKey.export({ format: 'jwk' }), key.jwk, '__proto__'))
  const part = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json({ maxDepth: 8 }),
    fc.dictionary(fc.constantFrom('typ', 'alg', 'jwk', 'jti', 'htm', 'htu', 'iat', 'nonce', 'crit'), odd),
    fc.record({ typ: fc.constant('dpop+jwt'), alg: fc.constantFrom(...Object.keys(KEYS)), jwk: odd }),
    fc.record({
      typ: fc.constant('dpop+jwt'),
      alg: fc.constantFrom(...Object.keys(KEYS)),
      jwk: fc.record({
        kty: fc.constantFrom('EC', 'OKP', 'RSA', 'oct'),
        crv: fc.constantFrom('P-256', 'P-384', 'P-521', 'Ed25519', 'X25519'),
        x: bytesOfLength(32, 48, 66),
        y: bytesOfLength(32, 48, 66),
        n: bytesOfLength(256, 512, 2048),
        e: fc.constantFrom('AQAB', 'Aw', 'AQ'),
      }),
    }),
  )
  const proof = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 5000 }),
    fc.tuple(part, part).map(([header, body]) => key.sign(header, body)),
    fc
      .tuple(part, bytesOfLength(64, 96, 132, 256, 512))
      .map(([header, signature]) => `${encode(header)}.${encode(claims())}.${signature}`),
  )
  await fc.assert(
    fc.asyncProperty(proof, async (text) => {
      expect(await outcomeOf(text)).toMatch(/^proof /)
    }),
    { numRuns: 400 },
  )
})

function bytesOfLength(...lengths: number[]) {
  return fc
    .constantFrom(...lengths)
    .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }))
    .map((bytes) => Buffer.from(bytes).toString('base64url'))
}
