import { describe, expect, test } from 'vitest'
import { createDpopJudge } from '../../src/dpop/judge.ts'
import { importKey, readKey } from '../../src/dpop/public-key.ts'
import { Problem } from '../../src/errors.ts'
import { testConfig } from '../http/support.ts'
import { createProofKey, type PublicJwk } from '../support/dpop.ts'
import { encode } from '../support/jwt.ts'
import { testKeys } from './support.ts'

// Signatures that careless implementations take for good ones, whoever made them, and keys that anybody can sign with.

const now = new Date('2026-05-01T12:00:00Z')
const judge = createDpopJudge({ config: testConfig(), serverKeys: testKeys(), clock: () => now })
let made = 0

const claimsOf = () => ({
  jti: `${made++}`,
  htm: 'POST',
  htu: 'https://auth.example.com/login',
  iat: now.getTime() / 1000,
})

/** Why a proof is refused that has this signature. */
function outcomeOf(alg: string, jwk: PublicJwk, signature: Buffer): Promise<string> {
  const header = { typ: 'dpop+jwt', alg, jwk }
  return judged(`${encode(header)}.${encode(claimsOf())}.${signature.toString('base64url')}`)
}

async function judged(text: string): Promise<string> {
  try {
    const proof = judge.read({ proofs: [text], method: 'POST', path: '/login' })
    if (proof) {
      await judge.prove(proof, 'here')
      await judge.useUp(proof)
    }
    return 'accepted'
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return error.reason ?? error.code
  }
}

const bigEndian = (value: bigint, bytes: number): Buffer =>
  Buffer.from(value.toString(16).padStart(2 * bytes, '0'), 'hex')

describe.each([
  ['ES256', 32, 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'],
  ['ES384', 48, 'ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973'],
  ['ES512', 66, `01${'f'.repeat(65)}a51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409`],
] as const)('%s', (alg, bytes, hex) => {
  const { jwk, sign } = createProofKey(alg)
  const order = BigInt(`0x${hex}`)

  test('a signature and its complement are of one proof, which counts once', async () => {
    const [head = '', body = '', signature = ''] = sign({ typ: 'dpop+jwt', alg, jwk }, claimsOf()).split('.')
    const good = Buffer.from(signature, 'base64url')
    const s = order - BigInt(`0x${good.subarray(bytes).toString('hex')}`)
    const other = Buffer.concat([good.subarray(0, bytes), bigEndian(s, bytes)])
    expect(await judged(`${head}.${body}.${other.toString('base64url')}`)).toBe('accepted')
    expect(await judged(`${head}.${body}.${signature}`)).toBe('proof replayed')
  })

  test('a signature of zeros or of other values at the bounds is refused (CVE-2022-21449)', async () => {
    const most = (1n << BigInt(8 * bytes)) - 1n
    const values = [0n, 1n, order - 1n, order, order + 1n, most].map((value) => bigEndian(value, bytes))
    for (const r of values) {
      for (const s of values) expect(await outcomeOf(alg, jwk, Buffer.concat([r, s]))).toBe('proof signature')
    }
  })
})

test('a coordinate that is not reduced is refused: the same key would have a second thumbprint', () => {
  const { jwk } = createProofKey('ES512')
  const prime = (1n << 521n) - 1n
  for (const name of ['x', 'y'] as const) {
    const value = BigInt(`0x${Buffer.from(jwk[name] ?? '', 'base64url').toString('hex')}`)
    const stated = readKey({ ...jwk, [name]: bigEndian(value + prime, 66).toString('base64url') }, 'ES512')
    expect(importKey(stated?.jwk ?? {})).toBeUndefined()
  }
})

/** The points of Ed25519 of order 1, 2, 4 and 8, by their y, in every spelling. */
const SMALL = (() => {
  const prime = (1n << 255n) - 19n
  const y8 = BigInt('0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd83d3d706a17c7')
  const values = [0n, 1n, prime - 1n, prime, prime + 1n, y8, prime - y8]
  return values.flatMap((y) => [0n, 1n].map((sign) => Buffer.from(bigEndian(y | (sign << 255n), 32).toReversed())))
})()

test('Ed25519: a key of small order is refused, for which one signature fits many messages', async () => {
  for (const point of SMALL) {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') }
    // Whoever holds no key tries each: for one message in eight at least one of them fits.
    for (let message = 0; message < 8; message++) {
      for (const r of SMALL) {
        const outcome = await outcomeOf('Ed25519', jwk, Buffer.concat([r, Buffer.alloc(32)]))
        expect(outcome).toMatch(/^proof (key|signature)$/)
      }
    }
  }
})

test('RSA: a modulus that is none is refused like a bad signature, and makes nothing fail', async () => {
  for (const last of [0x01, 0x00]) {
    const modulus = Buffer.alloc(256)
    modulus[0] = 0x80
    modulus[255] = last
    const jwk = { kty: 'RSA', e: 'AQAB', n: modulus.toString('base64url') }
    for (const fill of [0x00, 0x01, 0xff]) {
      for (const alg of ['RS256', 'PS256'])
        expect(await outcomeOf(alg, jwk, Buffer.alloc(256, fill))).toBe('proof signature')
    }
  }
})
