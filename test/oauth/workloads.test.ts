import { createHmac, createPublicKey } from 'node:crypto'
import { decodeJwt, type JWTPayload } from 'jose'
import { describe, expect, test } from 'vitest'
import type { Workload } from '../../src/clients/registration.ts'
import { disableClient } from '../../src/oauth/disable-client.ts'
import { createTestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { startHttps } from '../support/https-server.ts'
import { byOperator } from '../support/operation.ts'
import { askForToken, authenticate, JWT_BEARER } from './authentication.ts'
import { newSigner, seconds, unsigned } from './signer.ts'

/** What the platform publishes. */
let metadata: (url: string) => unknown = (issuer) => ({ issuer, jwks_uri: `${platform.url}/keys` })
/** What is waited for before the keys at `/slow` come. */
let onSlow = async () => {}
const key = newSigner('RS256')
const platform = forFile(
  await startHttps('127.0.0.1', ({ url }, response) => {
    const path = '/.well-known/openid-configuration'
    const keys = JSON.stringify({ keys: [key.jwk] })
    if (url === '/keys') return void response.end(keys)
    if (url === '/slow') return void onSlow().then(() => response.end(keys))
    if (url?.endsWith(path)) return void response.end(JSON.stringify(metadata(platform.url + url.replace(path, ''))))
    response.writeHead(404).end()
  }),
)
const t = forFile(await createTestApp({ env: { OUTBOUND_ALLOW: '127.0.0.1' } }))

const ACCOUNT = 'system:serviceaccount:shop:orders'
const register = async (workload: Partial<Workload> = {}) => {
  const registered = { issuer: platform.url, subject: ACCOUNT, claims: {}, ...workload }
  return (await addServiceClient(t, { auth: { method: 'workload', ...registered } })).clientId
}
const clientId = await register()

/** As Kubernetes projects it into a pod. */
const projected = (change: JWTPayload = {}): JWTPayload => ({
  iss: platform.url,
  sub: ACCOUNT,
  aud: [t.config.ISSUER],
  exp: seconds(t.deps.clock) + 3607,
  iat: seconds(t.deps.clock),
  nbf: seconds(t.deps.clock),
  jti: 'f1f5a9d8-4c2f-4e0e-9d5b-5f2c6f6a2d11',
  'kubernetes.io': {
    namespace: 'shop',
    pod: { name: 'orders-6c5b-x2x', uid: 'a1' },
    serviceaccount: { name: 'orders', uid: 'b2' },
  },
  ...change,
})

let networks = 0
const prove = (assertion: string, id: string | undefined = clientId) =>
  authenticate(t, {
    form: { client_id: id, client_assertion: assertion, client_assertion_type: JWT_BEARER },
    network: `198.51.100.${++networks}`,
  })
const refused = { code: 'invalid_client', detail: undefined }

test('a pod gets tokens by the one that its cluster has put beside it, again and again', async () => {
  const fields = {
    grant_type: 'client_credentials',
    client_id: clientId,
    client_assertion: await key.sign(projected()),
    client_assertion_type: JWT_BEARER,
  }
  for (let time = 0; time < 2; time++) {
    const answer = await askForToken(t, fields)
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toMatchObject({ token_type: 'Bearer' })
  }
})

test('a job of GitHub gets one by what its token says of repository and branch', async () => {
  const claims = { repository: 'acme/shop', ref: 'refs/heads/main', environment: 'production' }
  const subject = 'repo:acme/shop:environment:production'
  const id = await register({ subject, claims })
  const job = {
    ...claims,
    iss: platform.url,
    sub: subject,
    aud: t.config.ISSUER,
    exp: seconds(t.deps.clock) + 300,
    nbf: seconds(t.deps.clock) - 300,
    workflow: 'deploy',
  }
  expect((await prove(await key.sign(job, { typ: 'JWT', x5t: 'JYxnDyd-' }), id)).id).toBe(id)
  for (const change of [{ ref: 'refs/heads/main2' }, { ref: undefined }, { repository: ['acme/shop'] }])
    await expect(prove(await key.sign({ ...job, ...change }), id)).rejects.toMatchObject(refused)
})

describe('refused', () => {
  const other = newSigner('RS256')
  const pem = createPublicKey({ key: key.jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  const hmac = () => {
    const [header, payload] = unsigned({ alg: 'HS256', kid: key.jwk.kid }, projected()).split('.')
    return `${header}.${payload}.${createHmac('sha256', pem).update(`${header}.${payload}`).digest('base64url')}`
  }

  test.each<[string, () => Promise<string> | string]>([
    ['the token of another account', () => key.sign(projected({ sub: 'system:serviceaccount:shop:bills' }))],
    ['of another issuer', () => key.sign(projected({ iss: 'https://k8s.example.com' }))],
    ['for another audience', () => key.sign(projected({ aud: ['https://kubernetes.default.svc'] }))],
    ['for others besides', () => key.sign(projected({ aud: [t.config.ISSUER, 'https://kubernetes.default.svc'] }))],
    ['for two days', () => key.sign(projected({ exp: seconds(t.deps.clock) + 2 * 86_400 }))],
    ['that is over', () => key.sign(projected({ exp: seconds(t.deps.clock) - 1 }))],
    ['from the future', () => key.sign(projected({ nbf: seconds(t.deps.clock) + 60 }))],
    ['signed by somebody else', () => other.sign(projected(), { kid: String(key.jwk.kid) })],
    ['with a key in its header', () => other.sign(projected(), { jwk: other.jwk })],
    ['with the address of keys in its header', () => other.sign(projected(), { jku: `${platform.url}/keys` })],
    ['that nobody signed', () => unsigned({ alg: 'none' }, projected(), '')],
    ['with the public key as a secret', hmac],
  ])('%s', async (_what, make) => {
    await expect(prove(await make())).rejects.toMatchObject(refused)
    expect((await prove(await key.sign(projected()))).id).toBe(clientId)
  })

  test('for another client of the same issuer, and without the id of one', async () => {
    const bills = await register({ subject: 'system:serviceaccount:shop:bills' })
    const token = await key.sign(projected())
    await expect(prove(token, bills)).rejects.toMatchObject(refused)
    await expect(
      authenticate(t, { form: { client_assertion: token, client_assertion_type: JWT_BEARER } }),
    ).rejects.toMatchObject(refused)
  })

  test('what the client has signed itself', async () => {
    const own = { iss: clientId, sub: clientId, aud: t.config.ISSUER, jti: 'j', exp: seconds(t.deps.clock) + 60 }
    await expect(prove(await key.sign(own))).rejects.toMatchObject(refused)
  })
})

test('the token of a service that is disabled meanwhile is among those that verifiers are told of', async () => {
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<void>()
  onSlow = () => {
    asked.resolve()
    return answer.promise
  }
  const id = await register({ jwksUri: `${platform.url}/slow` })
  const assertion = { client_assertion: await key.sign(projected()), client_assertion_type: JWT_BEARER }
  const reply = askForToken(t, { grant_type: 'client_credentials', client_id: id, ...assertion })
  await asked.promise
  t.travel(3)
  await disableClient(t.deps, byOperator(t.deps), { id, type: 'service' })
  t.travel(3)
  answer.resolve()
  const { iat = 0 } = decodeJwt((await reply).json().access_token)
  const told = await t.db.selectFrom('revocations').select('revoked_at').where('sub', '=', id).execute()
  expect(iat * 1000).toBeLessThanOrEqual(Math.max(...told.map(({ revoked_at: at }) => at.getTime())))
})

describe('where the issuer publishes its keys', () => {
  const proveAt = async (path: string, workload: Partial<Workload> = {}) => {
    const issuer = platform.url + path
    const id = await register({ issuer, ...workload })
    return (await prove(await key.sign(projected({ iss: issuer })), id)).id === id
  }

  test('its metadata says, below its path', async () => {
    expect(await proveAt('/id/cluster')).toBe(true)
    expect(platform.requests.at(-2)?.url).toBe('/id/cluster/.well-known/openid-configuration')
  })

  test('or what was registered, and the metadata is not asked', async () => {
    const before = platform.requests.length
    expect(await proveAt('/registered', { jwksUri: `${platform.url}/keys` })).toBe(true)
    expect(platform.requests.slice(before).map(({ url }) => url)).toEqual(['/keys'])
  })

  test.each<[string, (issuer: string) => unknown]>([
    ['of another issuer', () => ({ issuer: 'https://k8s.example.com', jwks_uri: `${platform.url}/keys` })],
    ['of an issuer with a slash more', (issuer) => ({ issuer: `${issuer}/`, jwks_uri: `${platform.url}/keys` })],
    ['without keys', (issuer) => ({ issuer })],
    ['with keys over plain http', (issuer) => ({ issuer, jwks_uri: 'http://127.0.0.1/keys' })],
    ['with keys at a private address', (issuer) => ({ issuer, jwks_uri: 'https://10.0.0.1/keys' })],
    ['with keys in the document', (issuer) => ({ issuer, jwks_uri: 'data:application/json,{}' })],
    ['that is no object', () => []],
  ])('metadata %s counts for nothing', async (what, document) => {
    const usual = metadata
    metadata = document
    try {
      await expect(proveAt(`/${encodeURIComponent(what)}`)).rejects.toMatchObject(refused)
    } finally {
      metadata = usual
    }
  })
})
