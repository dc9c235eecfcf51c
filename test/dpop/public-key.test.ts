import { generateKeyPairSync } from 'node:crypto'
import { calculateJwkThumbprint, type JWK } from 'jose'
import { describe, expect, test } from 'vitest'
import { importKey, readKey } from '../../src/dpop/public-key.ts'
import { createProofKey, type ProofAlgorithm } from '../support/dpop.ts'

const ALGORITHMS = ['ES256', 'ES384', 'ES512', 'Ed25519', 'EdDSA', 'PS256', 'RS256'] as const satisfies ProofAlgorithm[]
const ec = createProofKey('ES256').jwk
const rsa = createProofKey('RS256').jwk
const okp = createProofKey('Ed25519').jwk

test.each(ALGORITHMS)('the thumbprint of a key of %s is that of RFC 7638', async (alg) => {
  const { jwk } = createProofKey(alg)
  const found = readKey({ ...jwk, kid: 'ignored', ext: true }, alg)
  expect(found?.jkt).toBe(await calculateJwkThumbprint(jwk as JWK))
  expect(importKey(found?.jwk ?? {})).toBeDefined()
})

test.each(['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'])('a key with the member %s is refused', (name) => {
  for (const value of ['AQAB', '', null, []]) {
    expect(readKey({ ...ec, [name]: value }, 'ES256')).toBeUndefined()
    expect(readKey({ ...rsa, [name]: value }, 'RS256')).toBeUndefined()
    expect(readKey({ ...okp, [name]: value }, 'Ed25519')).toBeUndefined()
  }
})

test.each([undefined, null, 'text', 7, [], [ec], {}, { kty: 'oct', k: 'c2VjcmV0' }, { kty: 'oct' }])(
  '%j is no key',
  (jwk) => {
    for (const alg of ALGORITHMS) expect(readKey(jwk, alg)).toBeUndefined()
  },
)

test('a key fits its algorithm alone', () => {
  const fits: Record<string, string[]> = {
    'P-256': ['ES256'],
    'P-384': ['ES384'],
    'P-521': ['ES512'],
    Ed25519: ['Ed25519', 'EdDSA'],
    RSA: ['PS256', 'RS256'],
  }
  for (const { jwk } of ALGORITHMS.map((alg) => createProofKey(alg)))
    expect(ALGORITHMS.filter((alg) => readKey(jwk, alg))).toEqual(fits[jwk.crv ?? 'RSA'])
  // Of the same size as P-256.
  const { publicKey: koblitz } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
  for (const crv of ['secp256k1', 'P-256K', 'p-256', undefined])
    expect(readKey({ ...koblitz.export({ format: 'jwk' }), crv }, 'ES256')).toBeUndefined()
  const { publicKey } = generateKeyPairSync('x25519')
  for (const alg of ALGORITHMS) expect(readKey(publicKey.export({ format: 'jwk' }), alg)).toBeUndefined()
})

describe('what a key says that it is for', () => {
  test.each<[Record<string, unknown>, boolean]>([
    [{ use: 'sig' }, true],
    [{ use: 'enc' }, false],
    [{ use: ['sig'] }, false],
    [{ alg: 'ES256' }, true],
    [{ alg: 'ES384' }, false],
    [{ key_ops: ['verify'] }, true],
    [{ key_ops: ['sign'] }, false],
    [{ key_ops: [] }, false],
    [{ key_ops: 'verify' }, false],
  ])('%j', (members, isRight) => {
    expect(readKey({ ...ec, ...members }, 'ES256') !== undefined).toBe(isRight)
  })
})

describe('a coordinate', () => {
  const { x = '', y = '' } = ec
  const bytes = Buffer.from(x, 'base64url')
  test.each<[string, Record<string, unknown>]>([
    ['with padding', { x: `${x}=` }],
    ['in the other alphabet of base64', { x: Buffer.alloc(32, 0xff).toString('base64') }],
    ['with spare bits that are set', { x: respelled(x) }],
    ['with a blank in it', { y: `${y} ` }],
    ['of 31 bytes', { x: bytes.subarray(1).toString('base64url') }],
    ['of 33 bytes', { x: Buffer.concat([Buffer.alloc(1), bytes]).toString('base64url') }],
    ['that is missing', { y: undefined }],
    ['that is empty', { y: '' }],
    ['that is no text', { y: 7 }],
  ])('%s is refused', (_name, change) => {
    expect(readKey({ ...ec, ...change }, 'ES256')).toBeUndefined()
  })

  test('of a point that is not on the curve is refused when the key is made', () => {
    for (const change of [{ x: y, y: x }, { y: x }, { x: 'A'.repeat(43), y: 'A'.repeat(43) }]) {
      const read = readKey({ ...ec, ...change }, 'ES256')
      expect(read).toBeDefined()
      expect(importKey(read?.jwk ?? {})).toBeUndefined()
    }
  })
})

describe('a modulus', () => {
  const of = (bytes: number, first = 0x80) => {
    const n = Buffer.alloc(bytes, 0xff)
    n[0] = first
    return readKey({ kty: 'RSA', e: 'AQAB', n: n.toString('base64url') }, 'RS256') !== undefined
  }

  test('has 2048 to 4096 bits', () => {
    expect([of(256), of(257, 1), of(384), of(512)]).toEqual([true, true, true, true])
    expect([of(255), of(256, 0x7f), of(513, 1), of(513), of(2048)]).toEqual([false, false, false, false, false])
    expect(readKey(createProofKey('RS256', 1024).jwk, 'RS256')).toBeUndefined()
  })

  test('has one spelling', () => {
    const { n = '' } = rsa
    const padded = Buffer.concat([Buffer.alloc(1), Buffer.from(n, 'base64url')]).toString('base64url')
    expect(readKey({ ...rsa, n: padded }, 'RS256')).toBeUndefined()
    expect(readKey({ ...rsa, n: `${n}==` }, 'RS256')).toBeUndefined()
  })

  test('of another exponent is refused', () => {
    for (const e of ['Aw', 'AQ', 'AAEAAQ', 'AQABAQABAQAB', '', 65537, undefined])
      expect(readKey({ ...rsa, e }, 'RS256')).toBeUndefined()
  })
})

/** Another last character for the same bytes. */
function respelled(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const other = text.slice(0, -1) + alphabet[alphabet.indexOf(text.at(-1) ?? '') + 1]
  expect(Buffer.from(other, 'base64url')).toEqual(Buffer.from(text, 'base64url'))
  return other
}
