import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { exportJWK, generateKeyPair } from 'jose'
import { expect, test, vi } from 'vitest'
import type { VerificationError } from '../../sdk/verifier/src/index.ts'
import { buildVerifier } from '../../sdk/verifier/src/verifier.ts'
import { signingKey, strangerKey } from '../../sdk/verifier/vectors/keys.ts'
import { AUDIENCE, createMint } from '../../sdk/verifier/vectors/mint.ts'
import { byStranger, published } from '../../sdk/verifier/vectors/sign.ts'
import {
  checkOf,
  first,
  MINUTE,
  SECOND,
  second,
  startIssuer,
  type TestIssuer,
  tokens,
  verifierOf,
} from './verifier-support.ts'

const METADATA = '/.well-known/oauth-authorization-server'
const OPENID = '/.well-known/openid-configuration'

async function complaint(issuer: TestIssuer, timeoutMs = 5000): Promise<string> {
  const { verify } = verifierOf(issuer, {}, { timeoutMs })
  const error = await verify.ready().then(
    () => new Error('it was accepted'),
    (reason: VerificationError) => reason,
  )
  expect(error).toMatchObject({ check: 'keys', status: 503 })
  expect(await checkOf(verify(tokens.usual(issuer)))).toBe('keys')
  return error.message
}

test('metadata must name exactly this issuer', async () => {
  await using issuer = await startIssuer()
  for (const named of [
    `${issuer.url}/`,
    issuer.url.toUpperCase(),
    'https://attacker.example',
    undefined,
    [issuer.url],
  ]) {
    issuer.answers.set(
      METADATA,
      issuer.json(() => ({ issuer: named, jwks_uri: `${issuer.url}/jwks` })),
    )
    expect(await complaint(issuer)).toContain('names another issuer')
  }
  expect(issuer.jwksRequests()).toBe(0)
})

test.each([
  ['http://issuer.example/jwks', 'is not https'],
  ['http://127.0.0.1.attacker.example/jwks', 'is not https'],
  ['file:///etc/passwd', 'is not https'],
  ['data:application/json,{"keys":[]}', 'is not https'],
  ['/jwks', 'has no jwks_uri'],
  [undefined, 'has no jwks_uri'],
  [42, 'has no jwks_uri'],
])('a jwks_uri of %s is refused', async (jwksUri, message) => {
  await using issuer = await startIssuer()
  issuer.answers.set(
    METADATA,
    issuer.json(() => ({ issuer: issuer.url, jwks_uri: jwksUri })),
  )
  expect(await complaint(issuer)).toContain(message)
})

test('an issuer by https does not send us to plain http on this machine', async () => {
  const asked: string[] = []
  const verify = buildVerifier({
    issuer: 'https://issuer.example',
    audience: AUDIENCE,
    fetch: async (url) => {
      asked.push(url)
      return Response.json({ issuer: 'https://issuer.example', jwks_uri: 'http://localhost:8080/jwks' })
    },
  })
  await expect(verify.ready()).rejects.toThrow('is not https')
  expect(asked).toEqual(['https://issuer.example/.well-known/oauth-authorization-server'])
})

test.each([METADATA, '/jwks'])('redirects of %s are not followed', async (path) => {
  await using issuer = await startIssuer()
  await using other = await startIssuer()
  for (const status of [301, 302, 303, 307, 308]) {
    issuer.answers.set(path, (_request, response) =>
      response.writeHead(status, { location: `${other.url}${path}` }).end(),
    )
    expect(await complaint(issuer)).toContain(`answered ${status}`)
  }
  expect(other.requests).toEqual([])
})

test('10 MB are not read to their end, compressed or not', async () => {
  await using issuer = await startIssuer()
  let sent = 0
  issuer.answers.set('/jwks', (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const chunk = ' '.repeat(64 * 1024)
    const write = (): void => {
      while (!response.destroyed && sent < 10_000_000) {
        sent += chunk.length
        if (!response.write(chunk)) return void response.once('drain', write)
      }
      response.end('{"keys":[]}')
    }
    write()
  })
  expect(await complaint(issuer)).toContain('more than 262144 bytes')
  expect(sent).toBeLessThan(9_000_000)

  const bomb = gzipSync(`{"keys":[]${' '.repeat(10_000_000)}}`)
  expect(bomb.length).toBeLessThan(20_000)
  issuer.answers.set('/jwks', (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb))
  expect(await complaint(issuer)).toContain('more than 262144 bytes')
})

test('slow answers are given up: no header, and a byte at a time', async () => {
  await using issuer = await startIssuer()
  issuer.answers.set(METADATA, () => {})
  expect(await complaint(issuer, 200)).toContain('did not answer within 0.2 s')
  await using dripping = await startIssuer()
  dripping.answers.set('/jwks', (_request, response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write(' '), 20)
    response.on('close', () => clearInterval(timer))
  })
  expect(await complaint(dripping, 300)).toContain('did not answer within 0.3 s')
})

test('a fetch that does not heed the signal is given up all the same', async () => {
  const verify = buildVerifier(
    { issuer: 'https://issuer.example', audience: AUDIENCE, fetch: () => new Promise(() => {}) },
    { timeoutMs: 100 },
  )
  await expect(verify.ready()).rejects.toThrow('did not answer within 0.1 s')
})

test.each([
  [500, '{"keys":[]}', 'answered 500'],
  [404, '', 'answered 404'],
  [204, '', 'answered 204'],
  [200, '<html>', 'did not answer with JSON'],
  [200, '', 'did not answer with JSON'],
  [200, 'null', 'no JWK Set'],
  [200, '[]', 'no JWK Set'],
  [200, '{"keys":{}}', 'no JWK Set'],
  [200, '{"keys":[]}', 'no key for RS256'],
  [200, '{"keys":[null,1,"a"]}', 'no key for RS256'],
  [200, JSON.stringify({ keys: Array.from({ length: 51 }, () => first) }), '51 keys'],
  [200, JSON.stringify({ keys: [first, { ...second, kid: first.kid }] }), 'two keys with the kid'],
])('a key set answered with %d and %.40s is refused', async (status, body, message) => {
  await using issuer = await startIssuer()
  issuer.answers.set('/jwks', (_request, response) => response.writeHead(status).end(body))
  expect(await complaint(issuer)).toContain(message)
})

test('a bad answer takes no key away that is at hand', async () => {
  await using issuer = await startIssuer()
  const { verify, errors, travel } = verifierOf(issuer)
  await verify.ready()
  for (const body of ['{"keys":[]}', '<html>', '{"keys":[{"kty":"EC"}]}']) {
    issuer.answers.set('/jwks', (_request, response) => response.end(body))
    travel(6 * MINUTE)
    expect(await checkOf(verify(tokens.usual(issuer)))).toBe('ok')
  }
  expect(errors.length).toBeGreaterThan(0)
})

/** Each beside a good one, with tokens that are really signed with it. */
test('keys that are not RSA of 2048 bits for RS256 signatures are passed over', async () => {
  await using issuer = await startIssuer()
  const stranger = published(strangerKey)
  const small = await generateKeyPair('RS256', { modulusLength: 2048, extractable: true })
  const curve = await generateKeyPair('ES256', { extractable: true })
  const { kid } = stranger
  const unfit: Record<string, object> = {
    encryption: { ...stranger, use: 'enc' },
    'no use': { ...stranger, use: undefined },
    PS256: { ...stranger, alg: 'PS256' },
    RS512: { ...stranger, alg: 'RS512' },
    'no alg': { ...stranger, alg: undefined },
    'to sign only': { ...stranger, key_ops: ['sign'] },
    private: { ...stranger, d: strangerKey.d },
    'exponent 1': { ...stranger, e: 'AQ' },
    'exponent 3': { ...stranger, e: 'Aw' },
    '1024 bits': { ...stranger, n: stranger.n.slice(0, 171) },
    '2048 bits, of which half are zeros': { ...stranger, n: 'A'.repeat(171) + stranger.n.slice(0, 171) },
    '16384 bits': { ...stranger, n: stranger.n.repeat(8) },
    'n is no text': { ...stranger, n: 1 },
    'n is no base64url': { ...stranger, n: `${stranger.n.slice(1)}*` },
    'another kind': { ...(await exportJWK(curve.publicKey)), use: 'sig', alg: 'RS256', kid },
    'a shared secret': { kty: 'oct', k: 'AAAA', use: 'sig', alg: 'RS256', kid },
    'a kid that is a number': { ...(await exportJWK(small.publicKey)), use: 'sig', alg: 'RS256', kid: 7 },
  }
  for (const [name, jwk] of Object.entries(unfit)) {
    issuer.keys = [jwk, first]
    const { verify } = verifierOf(issuer)
    expect.soft(await checkOf(verify(issuer.mint.withHeader({ kid }, byStranger))), name).toBe('kid')
    expect.soft(await checkOf(verify(tokens.usual(issuer))), name).toBe('ok')
  }
  issuer.keys = [stranger, first]
  expect(await checkOf(verifierOf(issuer).verify(issuer.mint.withHeader({ kid }, byStranger))), 'the fit one').toBe(
    'ok',
  )
})

test('openid-configuration will do where there is nothing else, and only there', async () => {
  await using issuer = await startIssuer()
  const metadata = issuer.answers.get(METADATA)
  if (metadata) issuer.answers.set(OPENID, metadata)
  issuer.answers.delete(METADATA)
  await verifierOf(issuer).verify(tokens.usual(issuer))
  expect(issuer.requests).toEqual([METADATA, OPENID, '/jwks'])
  issuer.answers.set(METADATA, (_request, response) => response.writeHead(500).end())
  expect(await complaint(issuer)).toContain('answered 500')
})

test('the well-known parts of an issuer with a path', async () => {
  const asked: string[] = []
  const issuer = 'https://issuer.example/tenants/one'
  const verify = buildVerifier({
    issuer,
    audience: AUDIENCE,
    fetch: async (url) => {
      asked.push(url)
      if (url.endsWith('/jwks')) return Response.json({ keys: [published(signingKey)] })
      if (url.endsWith('/openid-configuration')) return Response.json({ issuer, jwks_uri: 'https://keys.example/jwks' })
      return new Response(null, { status: 404 })
    },
  })
  await verify(createMint(issuer).withHeader({}))
  expect(asked).toEqual([
    'https://issuer.example/.well-known/oauth-authorization-server/tenants/one',
    'https://issuer.example/tenants/one/.well-known/openid-configuration',
    'https://keys.example/jwks',
  ])
})

test('a key set that moves is found again, long before the metadata would be read again', async () => {
  await using issuer = await startIssuer()
  const cached = (seconds: number, document: unknown): Parameters<typeof issuer.answers.set>[1] => {
    return (_request, response) =>
      void response.writeHead(200, { 'cache-control': `max-age=${seconds}` }).end(JSON.stringify(document))
  }
  issuer.answers.set(METADATA, cached(600, { issuer: issuer.url, jwks_uri: `${issuer.url}/jwks` }))
  issuer.answers.set('/jwks', cached(60, { keys: [first] }))
  const { verify, errors, travel } = verifierOf(issuer)
  await verify.ready()
  issuer.answers.set(METADATA, cached(600, { issuer: issuer.url, jwks_uri: `${issuer.url}/elsewhere` }))
  issuer.answers.set('/elsewhere', cached(60, { keys: [second] }))
  issuer.answers.delete('/jwks')
  travel(55 * SECOND)
  await vi.waitFor(() => expect(errors).toHaveLength(1))
  travel(2 * SECOND)
  await verify(tokens.second(issuer))
})

test('the credentials of nobody are sent, and no cookie comes back', async () => {
  const headers: unknown[] = []
  const server = createServer((request, response) => {
    headers.push(request.headers)
    response.setHeader('set-cookie', 'a=b')
    const url = `http://${request.headers.host}`
    response.end(JSON.stringify(request.url === '/jwks' ? { keys: [first] } : { issuer: url, jwks_uri: `${url}/jwks` }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const verify = buildVerifier({ issuer, audience: AUDIENCE })
  await verify(createMint(issuer).withHeader({}))
  verify.close()
  server.close()
  expect(headers).toHaveLength(2)
  for (const each of headers) {
    expect(each).not.toHaveProperty('cookie')
    expect(each).not.toHaveProperty('authorization')
  }
})
