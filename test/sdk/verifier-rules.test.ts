import { expect, test } from 'vitest'
import { makeVectors } from '../../sdk/verifier/make-vectors.ts'
import { quote } from '../../sdk/verifier/src/errors.ts'
import {
  type Claims,
  createVerifier,
  requireRole,
  requireScope,
  VerificationError,
  type VerifierOptions,
} from '../../sdk/verifier/src/index.ts'
import { parseRequirements } from '../../sdk/verifier/src/requirements.ts'
import { createMint } from '../../sdk/verifier/vectors/mint.ts'
import { checkOf } from './verifier-support.ts'

const { issuer, audience, jwks } = makeVectors('https://issuer.example')
const mint = createMint(issuer)
const NOW = 1_900_000_000
const claims = { iat: NOW, exp: NOW + 600 }

function at(seconds: number, options: Partial<VerifierOptions> = {}) {
  return createVerifier({ issuer, audience, jwks, now: () => seconds * 1000, ...options })
}

test.each([
  ['the last moment of the leeway', claims, 600 + 29.999, 'ok'],
  ['the leeway is over', claims, 600 + 30, 'expired'],
  ['issued just within the leeway', claims, -30, 'ok'],
  ['issued beyond the leeway', claims, -30.001, 'issued_at'],
  ['not before, within the leeway', { ...claims, nbf: NOW + 100 }, 70, 'ok'],
  ['not before, beyond the leeway', { ...claims, nbf: NOW + 100 }, 69.999, 'not_before'],
  ['an end beyond every date', { ...claims, exp: 1e308 }, 0, 'claim'],
  ['a beginning before every date', { ...claims, nbf: -1e308 }, 0, 'claim'],
])('%s', async (_name, changed, seconds, outcome) => {
  expect(await checkOf(at(NOW + seconds)(mint.withClaims(changed)))).toBe(outcome)
})

test('the leeway can be set', async () => {
  const token = mint.withClaims(claims)
  expect(await checkOf(at(NOW + 600, { clockTolerance: 0 })(token))).toBe('expired')
  expect(await checkOf(at(NOW + 599, { clockTolerance: 0 })(token))).toBe('ok')
  expect(await checkOf(at(NOW + 659, { clockTolerance: 60 })(token))).toBe('ok')
})

test('with a clock that is broken, nothing is in time', async () => {
  expect(await checkOf(at(Number.NaN)(mint.withClaims(claims)))).toBe('expired')
})

test('of several audiences, one is enough', async () => {
  const verify = at(NOW, { audience: ['orders-v2', 'orders'] })
  expect(await checkOf(verify(mint.withClaims(claims)))).toBe('ok')
  expect(await checkOf(verify(mint.withClaims({ ...claims, aud: 'billing' })))).toBe('audience')
})

test.each<[string, unknown]>([
  ['no audience', { issuer, audience: undefined }],
  ['an empty audience', { issuer, audience: '' }],
  ['an empty list of audiences', { issuer, audience: [] }],
  ['a list with an empty audience', { issuer, audience: ['orders', ''] }],
  ['no issuer', { issuer: undefined, audience }],
  ['an issuer that is no URL', { issuer: 'issuer.example', audience }],
  ['an issuer by http', { issuer: 'http://issuer.example', audience }],
  ['an issuer that only looks local', { issuer: 'http://localhost.attacker.example', audience }],
  ['an issuer that only begins local', { issuer: 'http://127.0.0.1.attacker.example', audience }],
  ['an issuer with a local user', { issuer: 'http://localhost@attacker.example', audience }],
  ['an issuer by another scheme', { issuer: 'file:///etc/passwd', audience }],
  ['an issuer with a query', { issuer: 'https://issuer.example?tenant=1', audience }],
  ['an issuer with a fragment', { issuer: 'https://issuer.example#a', audience }],
  ['an issuer with a password', { issuer: 'https://a:b@issuer.example', audience }],
  ['an issuer with a quotation mark', { issuer: 'https://issuer.example/"x', audience }],
  ['an issuer with a line break', { issuer: 'https://issuer.example/\nx', audience }],
  ['a leeway of an hour', { issuer, audience, clockTolerance: 3600 }],
  ['a negative leeway', { issuer, audience, clockTolerance: -1 }],
  ['a leeway that is no number', { issuer, audience, clockTolerance: Number.NaN }],
  ['a stale time that is no number', { issuer, audience, maxStale: Number.NaN }],
])('%s is refused when the verifier is made', (_name, options) => {
  expect(() => createVerifier(options as VerifierOptions)).toThrow(TypeError)
})

test.each(['http://localhost:3000', 'http://127.0.0.1:3000/auth', 'http://[::1]:3000', 'https://issuer.example/a/b'])(
  '%s is an issuer',
  (url) => {
    createVerifier({ issuer: url, audience }).close()
  },
)

test('what is no string is refused like any other token', async () => {
  const verify = at(NOW) as (token: unknown) => Promise<Claims>
  for (const token of [undefined, null, 42, {}, ['a.b.c'], new Uint8Array(3)]) {
    expect(await checkOf(verify(token))).toBe('malformed')
  }
})

test('a scope is a whole word', () => {
  const granted = { scope: 'account orders:readonly x' }
  requireScope(granted, 'orders:readonly')
  requireScope(granted, 'x')
  for (const scope of ['orders:read', 'readonly', 'ORDERS:READONLY', 'account.']) {
    expect(() => requireScope(granted, scope), scope).toThrow(VerificationError)
  }
  expect(() => requireScope({}, 'account')).toThrow(VerificationError)
  expect(() => requireScope({ scope: ['account'] as unknown as string }, 'account')).toThrow(VerificationError)
  for (const slip of ['', ' ', 'account orders:readonly', 'a"b']) {
    expect(() => requireScope(granted, slip), slip).toThrow(TypeError)
  }
})

test('a role is one of the list', () => {
  requireRole({ roles: ['clerk', 'admin'] }, 'admin')
  expect(() => requireRole({ roles: ['administrator'] }, 'admin')).toThrow(VerificationError)
  expect(() => requireRole({}, 'admin')).toThrow(VerificationError)
  expect(() => requireRole({ roles: 'administrator' as unknown as string[] }, 'admin')).toThrow(VerificationError)
  expect(() => requireRole({ roles: [''] }, '')).toThrow(TypeError)
})

test('a 403 says which scope would do, and a role stays ours', () => {
  expect(errorOf(() => requireScope({ scope: 'a' }, 'orders:write'))).toMatchObject({
    check: 'scope',
    status: 403,
    statusCode: 403,
    headers: { 'www-authenticate': 'Bearer error="insufficient_scope", scope="orders:write"' },
  })
  expect(errorOf(() => requireRole({ roles: [] }, 'admin'))).toMatchObject({
    check: 'role',
    status: 403,
    headers: { 'www-authenticate': 'Bearer error="insufficient_scope"' },
  })
})

function errorOf(work: () => void): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

test.each<[unknown]>([
  [{ scopes: 'orders:write' }],
  [{ scope: [] }],
  [{ scope: '' }],
  [{ scope: 'a b' }],
  [{ scope: ['a', 1] }],
  [{ role: null }],
  [{ role: true }],
  ['orders:write'],
  [null],
  [['a']],
])('requirements %j would ask for less than they seem to', (requirements) => {
  expect(() => parseRequirements(requirements)).toThrow(TypeError)
})

test('what is quoted from a token stays one short line of plain text', () => {
  expect(quote('a\n\u001b[31m\u2028\u202e"b')).toMatch(/^[\x20-\x7e]+$/)
  expect(quote('x'.repeat(5000)).length).toBeLessThan(100)
  expect(quote(undefined)).toBe('undefined')
})

test('a header that is meant for the log cannot write into it', async () => {
  const token = mint.withHeader({ kid: `a\nINFO all is well \u001b[2J${'k'.repeat(3000)}` })
  const error = await at(NOW)(token).catch((reason: VerificationError) => reason)
  expect((error as VerificationError).message).toMatch(/^no key "a[\x20-\x7e]+… was given$/)
  expect((error as VerificationError).message.length).toBeLessThan(150)
})
