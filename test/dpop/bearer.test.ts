import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { register, signIn, signingKey, startApp, stopClock } from '../sessions/support.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import { createProofKey, type ProofInput } from '../support/dpop.ts'
import { forFile } from '../support/for-file.ts'
import { claimsOf, headerOf, type Json, signJwt } from '../support/jwt.ts'

const t = forFile(await startApp())
const travel = stopClock(t)
const strict = forFile(await startApp({ DPOP_NONCE: 'required' }))
const user = await register(t)
const { accessToken: unbound } = await signIn(t, user)
const { privateKey } = await signingKey(t)
const key = createProofKey()
const bound = withClaims({ cnf: { jkt: key.jkt } })

function withClaims(change: Json, token = unbound): string {
  return signJwt(privateKey, headerOf(token), { ...claimsOf(token), ...change })
}

const DPOP = `DPoP realm="${t.config.ISSUER}"`
const ALGS = 'algs="ES256 ES384 ES512 Ed25519 EdDSA PS256 RS256"'

interface Sent extends Partial<ProofInput> {
  /** In place of the proof that the rest describes. */
  dpop?: string | string[]
  authorization?: string
}

/** `GET /me` with a proof that is good unless told otherwise. */
function me({ dpop, authorization = `DPoP ${bound}`, ...change }: Sent = {}, app: TestApp = t) {
  const url = `${app.config.ISSUER}/me`
  const iat = app.deps.clock().getTime() / 1000
  const proof = dpop ?? key.proof({ method: 'GET', url, accessToken: bound, iat, ...change })
  return app.inject({ url: '/me', headers: { authorization, ...(proof.length > 0 ? { dpop: proof } : {}) } })
}

function reasonOf(app: TestApp = t): unknown {
  return app.logs.findLast(({ msg }) => msg === 'request')?.reason
}

test('a bound token with a proof of its key opens our own endpoints', async () => {
  const answer = await me()
  expect([answer.statusCode, answer.json().id]).toEqual([200, user.id])
  expect(answer.headers['dpop-nonce']).toBe(t.deps.dpop.nonce())
  expect((await me({ authorization: `dpop ${bound}` })).statusCode).toBe(200)
  expect((await me({ nonce: t.deps.dpop.nonce() })).statusCode).toBe(200)
  const head = { authorization: `DPoP ${bound}`, dpop: proofFor('HEAD', '/me') }
  expect((await t.inject({ method: 'HEAD', url: '/me', headers: head })).statusCode).toBe(200)
  const list = { authorization: `DPoP ${bound}`, dpop: proofFor('GET', '/sessions') }
  expect((await t.inject({ url: '/sessions?limit=1', headers: list })).statusCode).toBe(200)
})

function proofFor(method: string, path: string): string {
  const iat = t.deps.clock().getTime() / 1000
  return key.proof({ method, url: t.config.ISSUER + path, accessToken: bound, iat })
}

describe('refused with 401 and a challenge', () => {
  const stranger = createProofKey('Ed25519')
  const other = withClaims({ cnf: { jkt: key.jkt }, jti: 'another' })
  const sometime = () => t.deps.clock().getTime() / 1000

  test.each<[string, () => Sent, string, code?: string]>([
    ['no proof', () => ({ dpop: '' }), 'no_proof'],
    ['a bound token as a bearer token', () => ({ dpop: '', authorization: `Bearer ${bound}` }), 'no_proof'],
    ['the same beside a good proof', () => ({ authorization: `Bearer ${bound}` }), 'no_proof'],
    ['a proof of another key', () => ({ dpop: strangerProof() }), 'other_key'],
    ['a proof for another token', () => ({ accessToken: other }), 'proof ath'],
    ['a proof for no token', () => ({ claims: { ath: undefined } }), 'proof ath'],
    ['a proof for another path', () => ({ url: `${t.config.ISSUER}/sessions` }), 'proof htu'],
    ['a proof for another server', () => ({ url: 'https://evil.example/me' }), 'proof htu'],
    ['a proof for another method', () => ({ method: 'POST' }), 'proof htm'],
    ['an old proof', () => ({ iat: sometime() - 61 }), 'proof iat'],
    ['a proof of the future', () => ({ iat: sometime() + 62 }), 'proof iat'],
    ['a private key in the proof', () => ({ header: { jwk: key.privateKey.export({ format: 'jwk' }) } }), 'proof key'],
    ['a symmetric key in the proof', () => ({ header: { jwk: { kty: 'oct', k: 'c2VjcmV0' } } }), 'proof key'],
    ['a point off its curve', () => ({ header: { jwk: { ...key.jwk, y: key.jwk.x } } }), 'proof key'],
    ['a coordinate spelled otherwise', () => ({ header: { jwk: { ...key.jwk, x: `${key.jwk.x}=` } } }), 'proof key'],
    ['alg none', () => ({ header: { alg: 'none' } }), 'proof header'],
    ['alg HS256', () => ({ header: { alg: 'HS256' } }), 'proof header'],
    ['another type of JWT', () => ({ header: { typ: 'at+jwt' } }), 'proof header'],
    ['the access token in place of the proof', () => ({ dpop: bound }), 'proof header'],
    ['a proof of 8 KiB', () => ({ claims: { more: 'x'.repeat(6000) } }), 'proof shape'],
    ['two proofs', () => ({ dpop: [proofFor('GET', '/me'), proofFor('GET', '/me')] }), 'proof shape'],
    [
      'another signature',
      () => ({ dpop: `${proofFor('GET', '/me').slice(0, -86)}${'A'.repeat(86)}` }),
      'proof signature',
    ],
    ['a nonce that is not ours', () => ({ nonce: 'made up' }), 'nonce', 'use_dpop_nonce'],
  ])('%s', async (_name, sent, reason, code = 'invalid_dpop_proof') => {
    const input = sent()
    const answer = await me(input)
    expect([answer.statusCode, answer.json()]).toEqual([401, expect.objectContaining({ code, status: 401 })])
    expect(answer.headers['www-authenticate']).toBe(`${DPOP}, error="${code}", ${ALGS}`)
    expect(answer.headers['dpop-nonce']).toBe(input.dpop === '' ? undefined : t.deps.dpop.nonce())
    expect(reasonOf()).toBe(reason)
  })

  function strangerProof(): string {
    return stranger.proof({ method: 'GET', url: `${t.config.ISSUER}/me`, accessToken: bound, iat: sometime() })
  }

  test('a proof beside a token that is not good, which is not remembered: strangers sign as well as anybody', async () => {
    const gone = withClaims({ cnf: { jkt: key.jkt }, sid: '00000000-0000-8000-8000-000000000000' })
    const dpop = key.proof({ method: 'GET', url: `${t.config.ISSUER}/me`, accessToken: gone, iat: sometime() })
    for (let i = 0; i < 2; i++) {
      expect((await me({ dpop, authorization: `DPoP ${gone}` })).statusCode).toBe(401)
      expect(reasonOf()).toBe('session')
    }
  })

  test('a proof that was here before', async () => {
    const dpop = proofFor('GET', '/me')
    expect((await me({ dpop })).statusCode).toBe(200)
    const answer = await me({ dpop })
    expect([answer.statusCode, answer.json().code, reasonOf()]).toEqual([401, 'invalid_dpop_proof', 'proof replayed'])
  })

  test('a proof that was made in advance, by its nonce', async () => {
    const nonce = t.deps.dpop.nonce()
    travel(61)
    // The thief had the key for a moment, and chose the time.
    const answer = await me({ nonce })
    expect([answer.statusCode, answer.json().code]).toEqual([401, 'use_dpop_nonce'])
    expect((await me({ nonce: String(answer.headers['dpop-nonce']) })).statusCode).toBe(200)
  })

  test('an unbound token by the scheme DPoP, for which the challenge says what is wrong', async () => {
    const dpop = key.proof({
      method: 'GET',
      url: `${t.config.ISSUER}/me`,
      accessToken: unbound,
      iat: t.deps.clock().getTime() / 1000,
    })
    const answer = await me({ dpop, authorization: `DPoP ${unbound}` })
    expect([answer.statusCode, answer.json().code, reasonOf()]).toEqual([401, 'invalid_token', 'cnf'])
    expect(answer.headers['www-authenticate']).toBe(`${DPOP}, error="invalid_token", ${ALGS}`)
    expect((await me({ dpop, authorization: `Bearer ${unbound}` })).statusCode).toBe(200)
  })

  test.each([
    null,
    {},
    [],
    'text',
    { jkt: null },
    { jkt: key.jkt.slice(1) },
    { jkt: `${key.jkt}=` },
    { jkt: [key.jkt] },
    { jkt: key.jkt, 'x5t#S256': key.jkt },
    { 'x5t#S256': key.jkt },
    { jwk: key.jwk },
  ])('a token of ours with the confirmation %j, whatever comes along', async (cnf) => {
    const token = withClaims({ cnf })
    for (const scheme of ['Bearer', 'DPoP']) {
      const answer = await me({ authorization: `${scheme} ${token}`, accessToken: token })
      expect([answer.statusCode, answer.json().code, reasonOf()]).toEqual([401, 'invalid_token', 'cnf'])
    }
  })
})

test('where a nonce is required, a proof without one is told it, and good with it', async () => {
  const someone = await register(strict)
  const { accessToken } = await signIn(strict, someone)
  const token = signJwt((await signingKey(strict)).privateKey, headerOf(accessToken), {
    ...claimsOf(accessToken),
    cnf: { jkt: key.jkt },
  })
  const authorization = `DPoP ${token}`
  const answer = await me({ authorization, accessToken: token }, strict)
  expect([answer.statusCode, answer.json().code]).toEqual([401, 'use_dpop_nonce'])
  const nonce = String(answer.headers['dpop-nonce'])
  expect((await me({ authorization, accessToken: token, nonce }, strict)).statusCode).toBe(200)
  expect((await me({ authorization: `Bearer ${accessToken}`, dpop: '' }, strict)).statusCode).toBe(200)
})

test('where a token is optional, a bound one that does not count is refused and not ignored', async () => {
  const env = { SMTP_URL: 'smtp://127.0.0.1:1', MAIL_FROM: 'no-reply@example.com' }
  await using mailing = await createTestApp({ join: t, env })
  const confirm = (headers: Record<string, string>) =>
    mailing.inject({ method: 'POST', url: '/email/confirm', headers, payload: { code: '00000000' } })
  for (const scheme of ['Bearer', 'DPoP']) {
    const answer = await confirm({ authorization: `${scheme} ${bound}` })
    expect([answer.statusCode, reasonOf(mailing)], scheme).toEqual([401, 'no_proof'])
  }
  const answer = await confirm({ authorization: `DPoP ${bound}`, dpop: proofFor('POST', '/email/confirm') })
  expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_code'])
  expect(mailing.logs.findLast(({ msg }) => msg === 'request')?.userId).toBe(user.id)
})

test('the feed takes no bound token: whoever stole one does not learn by it who signs out', async () => {
  const { clientId } = await addServiceClient(t)
  const iat = Math.floor(t.deps.clock().getTime() / 1000)
  const claims = {
    iss: t.config.ISSUER,
    sub: clientId,
    client_id: clientId,
    aud: `${t.config.ISSUER}/.well-known/revocations`,
    iat,
    exp: iat + 60,
    jti: 'feed',
  }
  const report = (cnf: object) =>
    t.inject({
      method: 'POST',
      url: '/.well-known/revocations/receipts',
      headers: { authorization: `Bearer ${signJwt(privateKey, headerOf(unbound), { ...claims, ...cnf })}` },
      payload: { epoch: 'e'.repeat(22), seq: 1, kids: [], instance: 'one' },
    })
  expect((await report({})).statusCode).toBe(204)
  expect((await report({ cnf: { jkt: key.jkt } })).statusCode).toBe(401)
  expect(reasonOf()).toBe('no_proof')
})

test('a nonce goes with every answer to a request that has a proof, and with no other', async () => {
  const dpop = proofFor('GET', '/me')
  for (const url of ['/me', '/nowhere', '/refresh', '/']) {
    expect((await t.inject({ url, headers: { dpop } })).headers['dpop-nonce'], url).toBe(t.deps.dpop.nonce())
    expect((await t.inject({ url })).headers, url).not.toHaveProperty('dpop-nonce')
  }
  // A cache would hand it to everybody, long after its time.
  const keys = await t.inject({ url: '/.well-known/jwks.json', headers: { dpop } })
  expect(keys.headers).not.toHaveProperty('dpop-nonce')
})

test('no text for a proof makes the server fail', async () => {
  const line = fc.string({ unit: 'binary-ascii', maxLength: 200 }).map((text) => text.replace(/[^\x20-\x7e]/g, ''))
  const text = fc.oneof(
    line,
    fc.tuple(fc.json(), fc.json()).map(([header, claims]) => key.sign(header, claims)),
    fc.jsonValue().map((value) => key.proof({ method: 'GET', url: '/', header: { jwk: value } })),
    fc
      .dictionary(fc.constantFrom('jti', 'htm', 'htu', 'iat', 'ath', 'nonce'), fc.jsonValue())
      .map((claims) => key.proof({ method: 'GET', url: `${t.config.ISSUER}/me`, accessToken: bound, claims })),
  )
  await fc.assert(
    fc.asyncProperty(text, async (dpop) => {
      const answer = await t.inject({ url: '/me', headers: { authorization: `DPoP ${bound}`, dpop } })
      // A good one is among them, where the change is none.
      expect([200, 401]).toContain(answer.statusCode)
    }),
    { numRuns: 300 },
  )
})
