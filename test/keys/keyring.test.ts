import { createHash, createPublicKey, verify } from 'node:crypto'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { beforeAll, expect, test } from 'vitest'
import { createKeyring, type HeldKey } from '../../src/keys/keyring.ts'
import { generateKey } from '../../src/keys/material.ts'
import { headerOf } from '../support/jwt.ts'
import { publishedBy } from './support.ts'

const states = ['active', 'next', 'retiring'] as const
const { keyring, hold } = createKeyring()
let keys: HeldKey[] = []
beforeAll(async () => {
  keys = await Promise.all(states.map(async (state) => ({ ...(await generateKey(2048)), state })))
  hold(keys.toReversed())
})

const claims = { iss: 'https://auth.example.test', sub: 'ünïcode', aud: 'api', exp: 4102444800 }

test('the header of a token has exactly three members', async () => {
  const token = await keyring.sign('at+jwt', claims)
  expect(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).toBe(
    `{"alg":"RS256","typ":"at+jwt","kid":"${keys[0]?.kid}"}`,
  )
})

test('jose verifies a token with nothing but the key set', async () => {
  const jwks = createLocalJWKSet(publishedBy({ keyring }))
  const { payload } = await jwtVerify(await keyring.sign('at+jwt', claims), jwks, {
    algorithms: ['RS256'],
    typ: 'at+jwt',
    issuer: claims.iss,
    audience: 'api',
  })
  expect(payload).toEqual(claims)
})

test.each([0, 1, 2])(
  'and one whose claims were JSON already, %d bytes longer than a multiple of three',
  async (rest) => {
    const padded = {
      ...claims,
      pad: 'x'.repeat((rest + 3 - (Buffer.byteLength(JSON.stringify({ ...claims, pad: '' })) % 3)) % 3),
    }
    const jwt = await keyring.signBytes('revocations+jwt', Buffer.from(JSON.stringify(padded)))
    const jwks = createLocalJWKSet(publishedBy({ keyring }))
    const { payload } = await jwtVerify(jwt, jwks, { algorithms: ['RS256'], typ: 'revocations+jwt' })
    expect(payload).toEqual(padded)
  },
)

test('so does node:crypto', async () => {
  const token = await keyring.sign('at+jwt', claims)
  const [header = '', payload = '', signature = ''] = token.split('.')
  const jwk = publishedBy({ keyring }).keys.find(({ kid }) => kid === headerOf(token).kid)
  const key = createPublicKey({ key: jwk ?? {}, format: 'jwk' })
  const check = (text: string) => verify('RSA-SHA256', Buffer.from(text), key, Buffer.from(signature, 'base64url'))
  expect(check(`${header}.${payload}`)).toBe(true)
  expect(check(`${header}.${payload}A`)).toBe(false)
})

test('the key set has all keys, active first, with public members only and thumbprints for names', () => {
  const { keys: published } = publishedBy({ keyring })
  expect(published.map(({ kid }) => kid)).toEqual(keys.map(({ kid }) => kid))
  for (const jwk of published) {
    expect(Object.keys(jwk).toSorted()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use'])
    expect(jwk).toMatchObject({ kty: 'RSA', use: 'sig', alg: 'RS256', e: 'AQAB' })
    // RFC 7638 §3: the required members in lexicographic order, without white space.
    const thumbprint = createHash('sha256').update(`{"e":"${jwk.e}","kty":"RSA","n":"${jwk.n}"}`).digest('base64url')
    expect(jwk.kid).toBe(thumbprint)
  }
})

test('the entity tag depends on the keys and not on the order in which they were loaded', () => {
  const before = keyring.jwks()
  hold(keys)
  expect(keyring.jwks()).toEqual(before)
  expect(before.etag).toMatch(/^"[A-Za-z0-9_-]{27}"$/)
  hold(keys.slice(0, 2))
  expect(keyring.jwks().etag).not.toBe(before.etag)
  hold(keys)
})

test('public keys are looked up by name among our own, and nothing else is', () => {
  for (const { kid, publicKey } of keys) expect(keyring.publicKey(kid)?.equals(publicKey)).toBe(true)
  for (const kid of ['', 'constructor', '__proto__', '../../etc/passwd', 'x'.repeat(43)]) {
    expect(keyring.publicKey(kid)).toBeUndefined()
  }
  expect(keyring.publicKey(keys[0]?.kid ?? '')?.type).toBe('public')
})

test('without an active key nothing is signed', async () => {
  const empty = createKeyring()
  expect(empty.keyring.ready()).toBe(false)
  expect(empty.keyring.jwks().body.toString()).toBe('{"keys":[]}')
  empty.hold(keys.slice(1))
  expect(empty.keyring.ready()).toBe(false)
  await expect(empty.keyring.sign('at+jwt', claims)).rejects.toMatchObject({ code: 'unavailable' })
})
