import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { compactVerify, importJWK, type JWK } from 'jose'
import { expect, test } from 'vitest'
import { formatVectors, makeVectors, type Vectors } from '../../sdk/verifier/make-vectors.ts'
import { createVerifier, type VerificationError } from '../../sdk/verifier/src/index.ts'
import { signingKey, strangerCurveKey, strangerKey } from '../../sdk/verifier/vectors/keys.ts'
import { publicForms } from '../../sdk/verifier/vectors/sign.ts'

const text = readFileSync(new URL('../../sdk/verifier/vectors.json', import.meta.url), 'utf8')
const vectors = JSON.parse(text) as Vectors
const { issuer, audience, jwks } = vectors
const verify = createVerifier({ issuer, audience, jwks })

test('the file is what make-vectors makes, byte for byte', () => {
  expect(text).toBe(formatVectors(makeVectors('https://issuer.example')))
})

test('names are unique, and so are tokens', () => {
  const all = [...vectors.valid, ...vectors.bad]
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length)
  expect(new Set(all.map(({ token }) => token)).size).toBe(all.length)
  expect(vectors.bad.filter(({ optional }) => !optional).length).toBeGreaterThanOrEqual(100)
})

test.each(vectors.valid)('accepts $name', async ({ token, claims }) => {
  expect(await verify(token)).toEqual(claims)
})

test.each(vectors.bad)('refuses $name as $check', async ({ token, check }) => {
  const error = await verify(token).then(
    () => undefined,
    (reason: VerificationError) => reason,
  )
  expect(error).toMatchObject({ name: 'VerificationError', check, status: 401 })
  expect(error?.headers).toEqual({ 'www-authenticate': 'Bearer error="invalid_token"' })
  // Neither whole nor in part: a signature is enough to be worth something.
  const shown = [String(error), inspect(error, { depth: 9 }), JSON.stringify(error), error?.stack].join('\n')
  for (const part of token.split('.').filter((each) => each.length > 30)) expect(shown).not.toContain(part.slice(0, 30))
})

test('the same for another issuer', async () => {
  const other = makeVectors('http://127.0.0.1:4711/some/path')
  const verifyOther = createVerifier({ issuer: other.issuer, audience: other.audience, jwks: other.jwks })
  for (const { token } of other.valid) await verifyOther(token)
  for (const { name, token, check } of other.bad) {
    expect.soft(await verifyOther(token).catch((error: VerificationError) => error.check), name).toBe(check)
  }
})

/** Refusing what is broken in two ways would prove nothing: a careless verifier must fall for these. */
test('the attacks are real', async () => {
  const tokenOf = (name: string): string => vectors.bad.find((each) => each.name === name)?.token ?? ''
  const { n, e } = signingKey
  const publicKey = (alg: string): Promise<Parameters<typeof compactVerify>[1]> => importJWK({ kty: 'RSA', n, e }, alg)
  const { d: _d, ...curve } = strangerCurveKey
  const stranger = await importJWK({ kty: 'RSA', n: strangerKey.n, e: strangerKey.e }, 'RS256')
  const secrets: Record<string, string | Buffer> = {
    'hs256-with-the-public-key-as-spki-pem': publicForms.spkiPem,
    'hs256-with-the-public-key-as-pkcs1-pem': publicForms.pkcs1Pem,
    'hs256-with-the-public-key-as-spki-der': publicForms.spkiDer,
    'hs256-with-the-public-key-as-jwk': publicForms.jwk,
    'hs512-with-the-public-key': publicForms.spkiPem,
  }
  for (const [name, secret] of Object.entries(secrets)) await compactVerify(tokenOf(name), Buffer.from(secret))
  for (const alg of ['RS384', 'RS512', 'PS256']) await compactVerify(tokenOf(alg.toLowerCase()), await publicKey(alg))
  await compactVerify(tokenOf('es256'), await importJWK(curve as JWK, 'ES256'))
  await compactVerify(tokenOf('curve-key-in-the-header'), await importJWK(curve as JWK, 'ES256'))
  for (const name of ['key-in-the-header', 'jku', 'x5u', 'signed-by-a-stranger-under-its-own-kid']) {
    await compactVerify(tokenOf(name), stranger)
  }
  // Well signed by the issuer: only the check that is named stands between these and whoever trusts them.
  const wellSigned = vectors.bad.filter(
    ({ check }) => !['alg', 'signature', 'malformed', 'kid', 'header'].includes(check),
  )
  const key = await publicKey('RS256')
  for (const { token } of wellSigned) await compactVerify(token, key)
  expect(wellSigned.length).toBeGreaterThan(60)
})
