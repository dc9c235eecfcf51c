import { createHmac, createPublicKey, randomUUID } from 'node:crypto'
import type { JWTPayload } from 'jose'
import { describe, expect, test } from 'vitest'
import type { ServiceAuth } from '../../src/clients/registration.ts'
import { pruneAssertionIds } from '../../src/oauth/pruning.ts'
import { prune } from '../../src/prune.ts'
import { createTestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { askForToken, authenticate, JWT_BEARER } from './authentication.ts'
import { newSigner, type Signer, seconds, unsigned } from './signer.ts'

const t = forFile(await createTestApp())
const signer = newSigner('RS256')
const inline = (...signers: Signer[]): { auth: ServiceAuth } => ({
  auth: { method: 'private_key_jwt', jwks: { keys: signers.map(({ jwk }) => jwk) } },
})
const { clientId } = await addServiceClient(t, inline(signer))

const claims = (change: JWTPayload = {}, id = clientId): JWTPayload => ({
  iss: id,
  sub: id,
  aud: t.config.ISSUER,
  exp: seconds(t.deps.clock) + 60,
  jti: randomUUID(),
  ...change,
})

/** Each from a network of its own, so that no failure of one holds off another. */
let networks = 0
const prove = (assertion: string, form: Record<string, string> = { client_id: clientId }) =>
  authenticate(t, {
    form: { client_assertion: assertion, client_assertion_type: JWT_BEARER, ...form },
    network: `198.51.100.${++networks}`,
  })
const refused = { code: 'invalid_client', detail: undefined }

test('a service gets a token by a JWT that it has signed', async () => {
  const fields = { grant_type: 'client_credentials', client_assertion: await signer.sign(claims()) }
  const answer = await askForToken(t, { ...fields, client_assertion_type: JWT_BEARER })
  expect(answer.statusCode).toBe(200)
  const again = await askForToken(t, { ...fields, client_assertion_type: JWT_BEARER })
  expect(again.statusCode).toBe(401)
  expect(again.json()).toMatchObject({ error: 'invalid_client' })
})

test.each(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'])('%s', async (alg) => {
  const own = newSigner(alg)
  const { clientId: id } = await addServiceClient(t, inline(own))
  expect((await prove(await own.sign(claims({}, id)), { client_id: id })).id).toBe(id)
  // It says itself whose it is.
  expect((await prove(await own.sign(claims({}, id), { typ: 'JWT' }), {})).id).toBe(id)
})

describe('refused, and the client may try again', () => {
  const signed = (change: JWTPayload) => signer.sign(claims(change))
  const published = { ...signer.jwk, kid: undefined, alg: undefined }
  const head = { alg: 'RS256', kid: signer.jwk.kid }
  const pem = createPublicKey({ key: signer.jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  const other = newSigner('RS256')
  const hmac = (secret: string | Buffer) => {
    const [header, payload] = unsigned({ ...head, alg: 'HS256' }, claims()).split('.')
    return `${header}.${payload}.${createHmac('sha256', secret).update(`${header}.${payload}`).digest('base64url')}`
  }

  test.each<[string, () => Promise<string> | string]>([
    ['alg none', () => unsigned({ ...head, alg: 'none' }, claims(), '')],
    ['alg none with a signature', () => unsigned({ ...head, alg: 'none' }, claims())],
    ['alg NoNe', () => unsigned({ ...head, alg: 'NoNe' }, claims())],
    ['HS256 with the public key', () => hmac(pem)],
    ['HS256 with the modulus', () => hmac(String(signer.jwk.n))],
    ['HS256 with nothing', () => hmac('')],
    [
      'another algorithm than that of the key',
      () => new Promise((done) => done(signer.sign(claims(), { alg: 'PS256' }))),
    ],
    ['a signature of somebody else', () => other.sign(claims(), { kid: String(signer.jwk.kid) })],
    ['an unknown kid', () => other.sign(claims())],
    ['a key in the header', () => other.sign(claims(), { jwk: other.jwk })],
    ['the right key in the header', () => signer.sign(claims(), { jwk: published as never })],
    ['a key set in the header', () => signer.sign(claims(), { jku: 'https://evil.example/jwks.json' })],
    ['a certificate at a URL', () => signer.sign(claims(), { x5u: 'https://evil.example/cert.pem' })],
    ['a certificate', () => signer.sign(claims(), { x5c: ['AAAA'] })],
    ['an extension', () => unsigned({ ...head, crit: ['b64'], b64: false }, claims())],
    ['an access token', () => signer.sign(claims(), { typ: 'at+jwt' })],
    ['another client', () => signed({ iss: 'cl_AAAAAAAAAAAAAAAAAAAAAA', sub: 'cl_AAAAAAAAAAAAAAAAAAAAAA' })],
    ['another subject', () => signed({ sub: 'cl_AAAAAAAAAAAAAAAAAAAAAA' })],
    ['another audience', () => signed({ aud: 'https://other.example.com' })],
    ['a list of audiences', () => signed({ aud: [t.config.ISSUER, 'https://other.example.com'] })],
    ['a long life', () => signed({ exp: seconds(t.deps.clock) + 320 })],
    ['one that is over', () => signed({ exp: seconds(t.deps.clock) - 1 })],
    ['a beginning in the future', () => signed({ nbf: seconds(t.deps.clock) + 60 })],
    ['no jti', () => signed({ jti: undefined as never })],
    ['no JWT', () => 'nonsense'],
    ['five parts', async () => `${await signed({})}.a.b`],
    ['a JWT of 9 KiB', () => signed({ padding: 'x'.repeat(9000) })],
    [
      'a repeated claim',
      () => unsigned(head, 'x').replace(/\.[^.]*\./, `.${Buffer.from('{"iss":"a","iss":"b"}').toString('base64url')}.`),
    ],
  ])('%s', async (_what, make) => {
    await expect(prove(await make())).rejects.toMatchObject(refused)
    expect((await prove(await signed({}))).id).toBe(clientId)
  })

  test('a changed claim', async () => {
    const [header, , signature] = (await signed({})).split('.')
    const changed = `${header}.${unsigned('', claims()).split('.')[1]}.${signature}`
    await expect(prove(changed)).rejects.toMatchObject(refused)
  })

  test('the JWT of another client', async () => {
    const { clientId: id } = await addServiceClient(t, inline(other))
    const theirs = await other.sign(claims({}, id))
    await expect(prove(theirs)).rejects.toMatchObject(refused)
    expect((await prove(theirs, { client_id: id })).id).toBe(id)
  })

  test('a client that has a secret', async () => {
    const { clientId: id } = await addServiceClient(t)
    await expect(prove(await signer.sign(claims({}, id)), { client_id: id })).rejects.toMatchObject(refused)
  })

  test('a client that there is not', async () => {
    const id = 'cl_AAAAAAAAAAAAAAAAAAAAAA'
    await expect(prove(await signer.sign(claims({}, id)), { client_id: id })).rejects.toMatchObject(refused)
  })
})

test.each([
  ['no type', { client_assertion_type: undefined }],
  ['another type', { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer' }],
  ['a type alone', { client_assertion: undefined }],
  ['a secret besides', { client_secret: 'x' }],
])('%s makes no request', async (_what, change) => {
  const form = { client_id: clientId, client_assertion: await signer.sign(claims()), client_assertion_type: JWT_BEARER }
  await expect(authenticate(t, { form: { ...form, ...change } })).rejects.toMatchObject({ code: 'invalid_request' })
})

test('of several keys the kid says which, and without one nobody guesses', async () => {
  const [first, second] = [newSigner(), newSigner()]
  const { clientId: id } = await addServiceClient(t, inline(first, second))
  for (const own of [first, second])
    expect((await prove(await own.sign(claims({}, id)), { client_id: id })).id).toBe(id)
  const nameless = await second.sign(claims({}, id), { kid: undefined as never })
  await expect(prove(nameless, { client_id: id })).rejects.toMatchObject(refused)
  const single = await signer.sign(claims(), { kid: undefined as never })
  expect((await prove(single)).id).toBe(clientId)
})

test('a JWT counts once, on two replicas at the same moment too, and its jti again for another client', async () => {
  await using replica = await createTestApp({ join: t })
  const jti = 'the only one'
  const form = { client_assertion: await signer.sign(claims({ jti })), client_assertion_type: JWT_BEARER }
  const attempts = [t, replica, t, replica].map((on, index) =>
    authenticate(on, { form, network: `203.0.113.${index}` }),
  )
  const outcomes = await Promise.allSettled(attempts)
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  // Signed anew it is another JWT with the same id.
  await expect(prove(await signer.sign(claims({ jti, exp: seconds(t.deps.clock) + 120 })))).rejects.toMatchObject(
    refused,
  )
  const own = newSigner()
  const { clientId: id } = await addServiceClient(t, inline(own))
  expect((await prove(await own.sign(claims({ jti }, id)), { client_id: id })).id).toBe(id)
})

test('a JWT that proves nothing uses up no id', async () => {
  const jti = randomUUID()
  await prove(unsigned({ alg: 'RS256', kid: signer.jwk.kid }, claims({ jti }))).catch(() => {})
  expect((await prove(await signer.sign(claims({ jti })))).id).toBe(clientId)
})

test('what has been used is kept as a hash, and no longer than it could be used', async () => {
  const jti = 'known to the client'
  await prove(await signer.sign(claims({ jti })))
  const kept = () => t.db.selectFrom('assertion_ids').selectAll().execute()
  expect(JSON.stringify(await kept())).not.toContain(jti)
  await prune(t.deps, [pruneAssertionIds])
  expect((await kept()).length).toBeGreaterThan(0)
  t.travel(301)
  await prune(t.deps, [pruneAssertionIds])
  expect(await kept()).toEqual([])
})
