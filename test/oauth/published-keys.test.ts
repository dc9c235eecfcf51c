import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { createFetch } from '../../src/fetch.ts'
import { createPublishedKeys } from '../../src/oauth/assertion/published-keys.ts'
import { createTestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { startHttps } from '../support/https-server.ts'
import { askForToken, authenticate, JWT_BEARER } from './authentication.ts'
import { newSigner, type Signer, seconds } from './signer.ts'

/** What is published at each path: a document, or a status. */
const published: Record<string, unknown> = {}
const publisher = forFile(
  await startHttps('127.0.0.1', ({ url = '' }, response) => {
    const what = published[url] ?? 404
    if (what === 302) response.writeHead(302, { location: '/elsewhere' }).end()
    else if (typeof what === 'number') response.writeHead(what).end()
    else response.end(typeof what === 'string' ? what : JSON.stringify(what))
  }),
)
const t = forFile(await createTestApp({ env: { OUTBOUND_ALLOW: '127.0.0.1' } }))
const keySet = (...signers: Signer[]) => ({ keys: signers.map(({ jwk }) => jwk) })
const readings = (path: string) => publisher.requests.filter(({ url }) => url === path).length

/** A client whose keys are at a path of its own. */
async function clientAt(document: unknown, path = `/${randomUUID()}`) {
  published[path] = document
  const { clientId } = await addServiceClient(t, { auth: { method: 'private_key_jwt', jwksUri: publisher.url + path } })
  const assertionOf = async (signer: Signer, header = {}) => {
    const own = { iss: clientId, sub: clientId, aud: t.config.ISSUER, exp: seconds(t.deps.clock) + 60 }
    return await signer.sign({ ...own, jti: randomUUID() }, header)
  }
  const prove = async (signer: Signer, header = {}) => {
    const assertion = await assertionOf(signer, header)
    return await authenticate(t, { form: { client_assertion: assertion, client_assertion_type: JWT_BEARER } })
  }
  return { clientId, path, prove, assertionOf }
}
const refused = { code: 'invalid_client' }

test('keys at an address are read once for ten minutes, whoever asks meanwhile', async () => {
  const signer = newSigner()
  const { clientId, path, prove } = await clientAt(keySet(signer))
  const found = await Promise.all(Array.from({ length: 5 }, () => prove(signer)))
  expect(found.map(({ id }) => id)).toEqual(Array.from({ length: 5 }, () => clientId))
  t.travel(599)
  await prove(signer)
  expect(readings(path)).toBe(1)
  t.travel(1)
  await prove(signer)
  expect(readings(path)).toBe(2)
})

test('an unknown kid has them read again, once a minute at most', async () => {
  const [first, second, unknown] = [newSigner(), newSigner(), newSigner()]
  const { clientId, path, prove } = await clientAt(keySet(first))
  await prove(first)
  published[path] = keySet(first, second)
  t.travel(58)
  await expect(prove(second)).rejects.toMatchObject({ code: 'unavailable', retryAfter: 2 })
  t.travel(2)
  expect((await prove(second)).id).toBe(clientId)
  expect(readings(path)).toBe(2)
  for (let i = 0; i < 3; i++) await expect(prove(unknown)).rejects.toMatchObject({ code: 'unavailable' })
  expect(readings(path)).toBe(2)
  t.travel(60)
  await expect(prove(unknown)).rejects.toMatchObject(refused)
})

test('whoever names keys that there are not holds off no client that signs with a new one', async () => {
  const [first, second, unknown] = [newSigner(), newSigner(), newSigner()]
  const { clientId, path, prove } = await clientAt(keySet(first))
  await expect(prove(unknown)).rejects.toMatchObject(refused)
  published[path] = keySet(second)
  for (let i = 0; i < 10; i++) {
    await expect(prove(unknown)).rejects.toMatchObject({ code: 'unavailable' })
    await expect(prove(second)).rejects.toMatchObject({ code: 'unavailable' })
  }
  t.travel(60)
  expect((await prove(second)).id).toBe(clientId)
})

test('a new key that cannot be read while the publisher is away is no failure either', async () => {
  const [first, second] = [newSigner(), newSigner()]
  const { clientId, path, prove } = await clientAt(keySet(first))
  await prove(first)
  published[path] = 503
  t.travel(60)
  for (let i = 0; i < 6; i++) await expect(prove(second)).rejects.toMatchObject({ code: 'unavailable' })
  expect((await prove(first)).id).toBe(clientId)
  published[path] = keySet(second)
  t.travel(60)
  expect((await prove(second)).id).toBe(clientId)
})

test('a key that does not suit the header is a failure at once: no reading would change it', async () => {
  const signer = newSigner('RS256')
  const { prove } = await clientAt(keySet(signer))
  await prove(signer)
  await expect(prove(signer, { alg: 'PS256' })).rejects.toMatchObject(refused)
})

test('a key that was withdrawn counts ten minutes at most', async () => {
  const [first, second] = [newSigner(), newSigner()]
  const { path, prove } = await clientAt(keySet(first))
  await prove(first)
  published[path] = keySet(second)
  t.travel(600)
  await expect(prove(first)).rejects.toMatchObject(refused)
})

test('an outage of the publisher is bridged for an hour; where nothing is known, it is 503', async () => {
  const signer = newSigner()
  const { clientId, path, prove } = await clientAt(keySet(signer))
  await prove(signer)
  published[path] = 503
  t.travel(3599)
  expect((await prove(signer)).id).toBe(clientId)
  t.travel(1)
  await expect(prove(signer)).rejects.toMatchObject({ code: 'unavailable', retryAfter: 10 })
  const attempts = readings(path)
  await expect(prove(signer)).rejects.toMatchObject({ code: 'unavailable' })
  expect(readings(path)).toBe(attempts)
  published[path] = keySet(signer)
  t.travel(60)
  expect((await prove(signer)).id).toBe(clientId)
})

test.each<[string, unknown, Signer]>([
  ['nothing can be read', 503, newSigner()],
  ['the kid is not read yet', keySet(newSigner()), newSigner()],
])(
  'what cannot be judged because %s costs its address a failure each time, and the log no warning',
  async (_what, document, signer) => {
    t.travel(3600)
    const { path, prove, assertionOf } = await clientAt(document)
    await prove(signer).catch(() => {})
    const logged = t.logs.length
    const fields = { grant_type: 'client_credentials', client_assertion_type: JWT_BEARER }
    const ask = async () => await askForToken(t, { ...fields, client_assertion: await assertionOf(signer) })
    const answers = []
    for (let i = 0; i < 60; i++) answers.push((await ask()).statusCode)
    expect(new Set(answers)).toEqual(new Set([503]))
    expect((await ask()).statusCode).toBe(429)
    expect(readings(path)).toBe(1)
    expect(t.logs.slice(logged).filter(({ level }) => level === 'warn')).toEqual([])
  },
)

const signer = newSigner('RS256')
const { kid, alg } = signer.jwk
const privateJwk = { ...signer.privateKey.export({ format: 'jwk' }), kid, alg }
const padding = (keys: number) =>
  Array.from({ length: keys }, (_, index) => ({ kty: 'EC', kid: String(index), crv: 'P-256', x: 'AA', y: 'AA' }))

test.each<[string, unknown]>([
  ['no key', { keys: [] }],
  ['no list', { keys: {} }],
  ['a key alone', signer.jwk],
  ['a list alone', [signer.jwk]],
  ['no JSON', '<html>'],
  ['two members of one name', `{"keys":[${JSON.stringify(signer.jwk)}],"keys":[]}`],
  ['1000 keys', { keys: [signer.jwk, ...padding(1000)] }],
  ['more than 64 KiB', { ...keySet(signer), padding: 'x'.repeat(65_536) }],
  ['the private key', { keys: [privateJwk] }],
  ['a symmetric key', { keys: [{ kty: 'oct', k: 'AAAA', kid, alg }] }],
  ['a key for encryption', { keys: [{ ...signer.jwk, use: 'enc' }] }],
  ['a key for another algorithm', { keys: [{ ...signer.jwk, alg: 'RS512' }] }],
  ['a key of 1024 bits', { keys: [{ ...signer.jwk, n: Buffer.alloc(128, 255).toString('base64url') }] }],
  ['the kid twice', { keys: [signer.jwk, signer.jwk] }],
  ['things that are no keys', { keys: [null, 1, 'key', []] }],
  ['a redirect', 302],
  ['nothing', 404],
])('%s at the address proves nobody', async (_what, document) => {
  const { prove } = await clientAt(document)
  await expect(prove(signer)).rejects.toMatchObject(refused)
})

test('other things in a set do not stand in the way of a key', async () => {
  const others = [{ kty: 'oct', k: 'AAAA' }, { kty: 'OKP', crv: 'Ed25519', x: 'AA' }, null, ...padding(50)]
  const { clientId, prove } = await clientAt({ keys: [...others, signer.jwk] })
  expect((await prove(signer)).id).toBe(clientId)
})

test('an address that is not public is not asked, unless OUTBOUND_ALLOW says so', async () => {
  const path = '/private'
  published[path] = keySet(signer)
  const header = { alg: String(alg), kid: String(kid) }
  const place = { jwksUri: publisher.url + path }
  const { clock, log } = t.deps
  const strict = createPublishedKeys({ fetch: createFetch({ allow: [] }), clock, log })
  expect(await strict(place, header)).toBeUndefined()
  expect(readings(path)).toBe(0)
  expect(t.logs.at(-1)).toMatchObject({ place, err: { message: 'an address that is not public' } })
  const open = createPublishedKeys({ fetch: createFetch({ allow: ['127.0.0.1'] }), clock, log })
  expect(await open(place, header)).toMatchObject({ kid })
})

test('nobody has keys fetched without knowing what the tokens of the client say', async () => {
  const { clientId, path } = await clientAt(keySet(signer))
  const assertion = await signer.sign({ iss: clientId, sub: clientId, aud: 'https://other.example.com' })
  const form = { client_id: clientId, client_assertion: assertion, client_assertion_type: JWT_BEARER }
  await expect(authenticate(t, { form })).rejects.toMatchObject(refused)
  expect(readings(path)).toBe(0)
})
