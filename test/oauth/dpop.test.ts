import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto'
import type { LightMyRequestResponse } from 'fastify'
import { describe, expect, test } from 'vitest'
import { eventsOf, granted, isLive, register, signIn, startApp, type User } from '../sessions/support.ts'
import { createTestApp, refreshTokenOf, type TestApp } from '../support/app.ts'
import { addPublicClient, addServiceClient } from '../support/clients.ts'
import { createProofKey, type ProofInput, type ProofKey } from '../support/dpop.ts'
import { forFile } from '../support/for-file.ts'
import { claimsOf, encode } from '../support/jwt.ts'
import { askForToken, basic, introspect, JWT_BEARER } from './authentication.ts'
import { newSigner, seconds } from './signer.ts'
import { revoke } from './support.ts'

const t = forFile(await startApp({ AUDIENCE: 'orders', SCOPES: 'read' }))
const user = await register(t)
const service = await addServiceClient(t, { audiences: ['orders'], scopes: ['read'] })
const key = createProofKey()

const TOKEN = `${t.config.ISSUER}/oauth/token`
/** A good proof for the token endpoint but for what is changed. */
const proofBy = (by: ProofKey, changed: Partial<ProofInput> = {}) =>
  by.proof({ method: 'POST', url: TOKEN, ...changed })

interface Asked {
  on?: TestApp
  proof?: string | undefined
  by?: { clientId: string; secret: string }
}

const forService = ({ on = t, proof, by = service }: Asked = {}) =>
  askForToken(
    on,
    { grant_type: 'client_credentials' },
    { authorization: basic(by.clientId, by.secret), ...(proof !== undefined && { dpop: proof }) },
  )

const exchange = (token: string, { on = t, proof }: Asked = {}) =>
  askForToken(
    on,
    { grant_type: 'refresh_token', client_id: 'native', refresh_token: token },
    proof === undefined ? {} : { dpop: proof },
  )

/** A session that is bound to a key. */
async function signInWith(by: ProofKey, on = t, who: User = user) {
  const proof = by.proof({ method: 'POST', url: `${on.config.ISSUER}/login`, nonce: on.deps.dpop.nonce() })
  const session = await signIn(on, who, 'body', {}, { dpop: proof })
  expect(session.answer.json().token_type).toBe('DPoP')
  return session
}

function expectRefused(answer: LightMyRequestResponse, error = 'invalid_dpop_proof'): void {
  expect([answer.statusCode, answer.json()]).toEqual([400, { error, error_description: expect.any(String) }])
  expect(answer.headers['cache-control']).toBe('no-store')
  expect(answer.headers['www-authenticate']).toBeUndefined()
}

const reason = () => t.logs.at(-1)?.reason

describe('client_credentials', () => {
  test('with a proof, the token is bound to its key; without one, it is good for whoever bears it', async () => {
    const answer = await forService({ proof: proofBy(key) })
    expect([answer.statusCode, answer.headers['dpop-nonce']]).toEqual([200, t.deps.dpop.nonce()])
    expect(answer.json()).toMatchObject({ token_type: 'DPoP', expires_in: 600, scope: 'read' })
    expect(claimsOf(answer.json().access_token)).toMatchObject({ sub: service.clientId, cnf: { jkt: key.jkt } })

    const plain = await forService()
    expect([plain.statusCode, plain.json().token_type]).toEqual([200, 'Bearer'])
    expect(claimsOf(plain.json().access_token)).not.toHaveProperty('cnf')
    expect(plain.headers).not.toHaveProperty('dpop-nonce')
  })

  test('a client that is registered so gets no token without', async () => {
    const by = await addServiceClient(t, { dpopRequired: true })
    expectRefused(await forService({ by }))
    expect(t.logs.at(-1)).toMatchObject({ code: 'invalid_dpop_proof', reason: 'no_proof', clientId: by.clientId })
    expect((await forService({ by, proof: proofBy(key) })).json()).toMatchObject({ token_type: 'DPoP' })
    // Whether it is one is told to nobody who does not prove to be that client.
    const stranger = await forService({ by: { ...by, secret: 'wrong' } })
    expect([stranger.statusCode, stranger.json().error]).toEqual([401, 'invalid_client'])
  })

  test('a proof is good for one token, at each replica', async () => {
    await using replica = await createTestApp({ join: t })
    const proof = proofBy(key)
    expect((await forService({ proof })).statusCode).toBe(200)
    expectRefused(await forService({ proof }))
    expect(reason()).toBe('proof replayed')
    // Their memories are apart: whoever has the credentials and a proof of the owner’s gets a token for which he lacks the key.
    expect((await forService({ on: replica, proof })).json()).toMatchObject({ token_type: 'DPoP' })
    expectRefused(await forService({ on: replica, proof }))
  })

  test('a nonce that is asked for costs the client no assertion', async () => {
    await using asking = await createTestApp({ join: t, env: { DPOP_NONCE: 'required' } })
    const signer = newSigner()
    const jwks = { keys: [signer.jwk] }
    const { clientId } = await addServiceClient(t, { auth: { method: 'private_key_jwt', jwks }, dpopRequired: true })
    const exp = seconds(t.deps.clock) + 60
    const own = { iss: clientId, sub: clientId, aud: t.config.ISSUER, exp, jti: randomUUID() }
    const fields = { client_assertion_type: JWT_BEARER, client_assertion: await signer.sign(own) }
    const ask = (proof: string) => askForToken(asking, { grant_type: 'client_credentials', ...fields }, { dpop: proof })
    const first = await ask(proofBy(key))
    expectRefused(first, 'use_dpop_nonce')
    const nonce = first.headers['dpop-nonce'] as string
    expect((await ask(proofBy(key, { nonce }))).json()).toMatchObject({ token_type: 'DPoP' })
  })
})

describe('refresh_token', () => {
  test('a bound session goes on with its key, and stays bound', async () => {
    let { token } = await signInWith(key)
    for (let time = 0; time < 2; time++) {
      const answer = await exchange(token, { proof: proofBy(key) })
      token = granted(answer)
      expect(answer.json().token_type).toBe('DPoP')
      expect(claimsOf(answer.json().access_token)).toMatchObject({ cnf: { jkt: key.jkt } })
      expect(answer.headers['dpop-nonce']).toBe(t.deps.dpop.nonce())
    }
  })

  test('whoever stole the token has no key: nothing is rotated, nothing ends, and the owner goes on', async () => {
    const { token, sid } = await signInWith(key)
    const thief = createProofKey()
    expectRefused(await exchange(token))
    expect(reason()).toBe('no_proof')
    expectRefused(await exchange(token, { proof: proofBy(thief) }))
    expect(reason()).toBe('other_key')
    const second = granted(await exchange(token, { proof: proofBy(key) }))
    const third = granted(await exchange(second, { proof: proofBy(key) }))
    // Of a token that was used long ago the thief is told the same.
    expectRefused(await exchange(token))
    expectRefused(await exchange(token, { proof: proofBy(thief) }))
    expect(await isLive(t, sid)).toBe(true)
    granted(await exchange(third, { proof: proofBy(key) }))
    expect(new Set(await eventsOf(t, sid))).toEqual(
      new Set(['refresh.dpop_refused no_proof', 'refresh.dpop_refused other_key']),
    )
  })

  test('a request that was overheard and is sent again gets what is bound to the owner’s key', async () => {
    const { token, sid } = await signInWith(key)
    const proof = proofBy(key)
    const second = granted(await exchange(token, { proof }))
    const again = await exchange(token, { proof })
    expect([granted(again), again.json().token_type]).toEqual([second, 'DPoP'])
    expect(claimsOf(again.json().access_token)).toMatchObject({ cnf: { jkt: key.jkt } })
    expectRefused(await exchange(second, { proof: proofBy(createProofKey()) }))
    expect(await isLive(t, sid)).toBe(true)
  })

  test('an unbound session stays unbound, whoever proves a key, and a bad proof is refused there too', async () => {
    const { token } = await signIn(t, user)
    expectRefused(await exchange(token, { proof: proofBy(key, { method: 'GET' }) }))
    const answer = await exchange(token, { proof: proofBy(key) })
    expect(answer.json().token_type).toBe('Bearer')
    expect(claimsOf(answer.json().access_token)).not.toHaveProperty('cnf')
    granted(await exchange(granted(answer)))
  })

  test('a client that is registered so has bound sessions alone', async () => {
    const { clientId } = await addPublicClient(t, { type: 'native', dpopRequired: true })
    const { email, password } = user
    const login = (proof?: string) =>
      t.login({ email, password, client_id: clientId }, proof === undefined ? {} : { dpop: proof })
    const refused = await login()
    expect([refused.statusCode, refused.json().code]).toEqual([400, 'invalid_dpop_proof'])
    const session = await login(key.proof({ method: 'POST', url: `${t.config.ISSUER}/login` }))
    const fields = { grant_type: 'refresh_token', client_id: clientId, refresh_token: refreshTokenOf(session) }
    expectRefused(await askForToken(t, fields))
    expect((await askForToken(t, fields, { dpop: proofBy(key) })).json()).toMatchObject({ token_type: 'DPoP' })
  })
})

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })
const now = () => seconds(t.deps.clock)

/** As if an HMAC under a key that is sent along proved anything. */
function symmetric(): string {
  const secret = Buffer.alloc(32, 7)
  const header = { typ: 'dpop+jwt', alg: 'HS256', jwk: { kty: 'oct', k: secret.toString('base64url') } }
  const input = `${encode(header)}.${encode({ jti: randomUUID(), htm: 'POST', htu: TOKEN, iat: now() })}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

/** Proofs that are wrong in one point, with the reason that the log has. */
const ATTACKS: Record<string, [make: () => string, reason: string]> = {
  'for another method': [() => proofBy(key, { method: 'GET' }), 'proof htm'],
  'for another endpoint': [() => proofBy(key, { url: `${t.config.ISSUER}/refresh` }), 'proof htu'],
  'for another server': [() => proofBy(key, { url: 'https://elsewhere.example/oauth/token' }), 'proof htu'],
  'more than a minute old': [() => proofBy(key, { iat: now() - 62 }), 'proof iat'],
  'made in advance, for a later time': [() => proofBy(key, { iat: now() + 62 }), 'proof iat'],
  'with a private key': [
    () => proofBy(key, { header: { jwk: { ...key.jwk, d: key.privateKey.export({ format: 'jwk' }).d } } }),
    'proof key',
  ],
  'with a private key that is empty': [() => proofBy(key, { header: { jwk: { ...key.jwk, d: '' } } }), 'proof key'],
  'with the private key of RSA': [() => proofBy(key, { header: { alg: 'RS256', jwk: rsa } }), 'proof key'],
  'with a symmetric key': [symmetric, 'proof header'],
  'with a symmetric key under the name of another algorithm': [
    () => proofBy(key, { header: { jwk: { kty: 'oct', k: 'AA' } } }),
    'proof key',
  ],
  'without a signature': [() => proofBy(key, { header: { alg: 'none' } }), 'proof header'],
  'signed by another key than it states': [
    () => proofBy(key, { header: { jwk: createProofKey().jwk } }),
    'proof signature',
  ],
  'changed after it was signed': [
    () => {
      const [header, , signature] = proofBy(key).split('.')
      return [header, encode({ jti: 'x', htm: 'POST', htu: TOKEN, iat: now() }), signature].join('.')
    },
    'proof signature',
  ],
  'that is another JWT': [() => proofBy(key, { header: { typ: 'JWT' } }), 'proof header'],
  'that points to a key': [() => proofBy(key, { header: { jku: 'https://evil.example/keys' } }), 'proof header'],
  'with an extension': [() => proofBy(key, { header: { crit: ['b64'], b64: false } }), 'proof header'],
  'without a jti': [() => proofBy(key, { claims: { jti: undefined } }), 'proof claims'],
  'of eight kibibytes': [() => proofBy(key, { claims: { more: 'x'.repeat(6000) } }), 'proof shape'],
  'two in one': [() => `${proofBy(key)}, ${proofBy(key)}`, 'proof shape'],
  'that is empty': [() => '', 'proof shape'],
}

describe('refused for either grant, and neither takes anything from the owner: a proof', () => {
  test.each(Object.entries(ATTACKS))('%s', async (_what, [make, expected]) => {
    expectRefused(await forService({ proof: make() }))
    expect(reason()).toBe(expected)

    const { token, sid } = await signInWith(key)
    expectRefused(await exchange(token, { proof: make() }))
    expect(reason()).toBe(expected)
    expect(await eventsOf(t, sid), 'it is judged before the token').toEqual([])
    granted(await exchange(token, { proof: proofBy(key) }))
  })

  test('that stands beside a second one', async () => {
    const { token } = await signInWith(key)
    const send = (fields: string, proofs: string[], authorization?: string) => {
      const headers = { 'content-type': 'application/x-www-form-urlencoded', dpop: proofs }
      const all = authorization === undefined ? headers : { ...headers, authorization }
      return t.inject({ method: 'POST', url: '/oauth/token', headers: all, payload: fields })
    }
    const own = basic(service.clientId, service.secret)
    const fields = `grant_type=refresh_token&client_id=native&refresh_token=${token}`
    expectRefused(await send('grant_type=client_credentials', [proofBy(key), proofBy(key)], own))
    expectRefused(await send(fields, [proofBy(key), proofBy(key)]))
    granted(await send(fields, [proofBy(key)]))
  })
})

describe('where proofs need a nonce', async () => {
  const asking = forFile(await startApp({ AUDIENCE: 'orders', DPOP_NONCE: 'required' }))
  const by = await addServiceClient(asking, { audiences: ['orders'] })
  const owner = await register(asking)
  const url = `${asking.config.ISSUER}/oauth/token`
  const make = (nonce?: string) =>
    key.proof({ method: 'POST', url, iat: seconds(asking.deps.clock), ...(nonce !== undefined && { nonce }) })

  test('one without is refused and told the nonce, with which the next one is good', async () => {
    const { token, sid } = await signInWith(key, asking, owner)
    for (const ask of [
      (proof: string) => forService({ on: asking, by, proof }),
      (proof: string) => exchange(token, { on: asking, proof }),
    ]) {
      const first = await ask(make())
      expectRefused(first, 'use_dpop_nonce')
      const nonce = first.headers['dpop-nonce'] as string
      expect((await ask(make(nonce))).json()).toMatchObject({ token_type: 'DPoP' })
    }
    expect(await eventsOf(asking, sid)).toEqual([])
  })

  test('none that was made in advance is good a minute and a half later, nor with a nonce that nobody gave out', async () => {
    const nonce = asking.deps.dpop.nonce()
    const { token } = await signInWith(key, asking, owner)
    asking.travel(90)
    // Its time would do: somebody who had the key in hands for a moment chose that.
    for (const proof of [make(nonce), make('made up')]) {
      expectRefused(await forService({ on: asking, by, proof }), 'use_dpop_nonce')
      expectRefused(await exchange(token, { on: asking, proof }), 'use_dpop_nonce')
    }
    granted(await exchange(token, { on: asking, proof: make(asking.deps.dpop.nonce()) }))
  })
})

test('a bound token is revoked without a proof: whoever wants to end a session may', async () => {
  for (const which of ['token', 'accessToken'] as const) {
    const session = await signInWith(key)
    const answer = await revoke(t, { token: session[which], client_id: 'native' })
    expect(answer.statusCode).toBe(200)
    expect(await isLive(t, session.sid)).toBe(false)
    expect((await exchange(session.token, { proof: proofBy(key) })).json()).toMatchObject({ error: 'invalid_grant' })
  }
})

test('a service that gets bound tokens alone reports with its secret, and with none of those tokens', async () => {
  const by = await addServiceClient(t, { dpopRequired: true })
  const path = '/.well-known/revocations/receipts'
  const authorization = basic(by.clientId, by.secret)
  const fields = { grant_type: 'client_credentials', audience: `${t.config.ISSUER}/.well-known/revocations` }
  const issued = await askForToken(t, fields, { authorization, dpop: proofBy(key) })
  const token = issued.json().access_token as string
  expect(claimsOf(token)).toMatchObject({ aud: fields.audience, cnf: { jkt: key.jkt } })
  const report = (headers: Record<string, string>) =>
    t.inject({
      method: 'POST',
      url: path,
      headers: { 'content-type': 'application/json', ...headers },
      payload: { epoch: 'e'.repeat(22), seq: 1, kids: [], instance: 'web-1' },
    })
  const dpop = key.proof({ method: 'POST', url: t.config.ISSUER + path, accessToken: token })
  for (const sent of [`Bearer ${token}`, `DPoP ${token}`]) {
    const answer = await report({ authorization: sent, dpop })
    expect([answer.statusCode, answer.json().error]).toEqual([401, 'invalid_client'])
  }
  expect((await report({ authorization })).statusCode).toBe(204)
})

describe('whoever asks about a bound token', async () => {
  const SIGNED = 'application/token-introspection+jwt'
  const bound = async () => [
    (await signInWith(key)).accessToken,
    (await forService({ proof: proofBy(key) })).json().access_token as string,
  ]

  test('is told so, and to which key', async () => {
    for (const token of await bound()) {
      const told = { active: true, token_type: 'DPoP', cnf: { jkt: key.jkt } }
      expect((await introspect(t, service, { token })).json()).toEqual({ ...claimsOf(token), ...told })
      const signed = await introspect(t, service, { token }, { accept: SIGNED })
      expect(claimsOf(signed.body)).toMatchObject({ token_introspection: told })
    }
  })

  test('by the status alone is told no, because nobody who reads no body can check a proof', async () => {
    for (const token of await bound()) {
      for (const accept of ['application/json', SIGNED]) {
        const answer = await introspect(t, service, { token, response: 'headers' }, { accept })
        expect(answer.statusCode).toBe(403)
        expect(Object.keys(answer.headers).filter((name) => /^claviger-|^www-/.test(name))).toEqual([])
      }
    }
  })
})
