import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { checkRegistration } from '../../src/clients/check.ts'
import { ClientRefused } from '../../src/clients/refused.ts'
import { registrationOf, type Stated } from '../../src/clients/stated.ts'
import { testConfig } from '../keys/support.ts'

const config = testConfig({ AUDIENCE: 'orders', SCOPES: 'read' })
const production = testConfig({ NODE_ENV: 'production', DATABASE_URL: 'postgres://127.0.0.1/none' })

/** What is wrong, in words; or the registration. */
function judge(stated: Partial<Stated>, settings = config): unknown {
  try {
    return checkRegistration(settings, registrationOf({ name: 'shop', ...stated }))
  } catch (error) {
    if (error instanceof ClientRefused) return error.message
    throw error
  }
}

const jwkOf = (key: KeyObject): string => JSON.stringify(key.export({ format: 'jwk' }))
const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength })
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve })
const p256 = jwkOf(ec('P-256').publicKey)
const keyed = { type: 'service', auth: 'private_key_jwt' }
const workload = { type: 'service', auth: 'workload', issuer: 'https://ci.example', subject: 'repo:acme/shop' }

describe('accepted', () => {
  test.each<[string, Partial<Stated>, object]>([
    ['a service with nothing stated', { type: 'service' }, { type: 'service', name: 'shop' }],
    ['values twice', { type: 'service', scopes: ['a', 'b', 'a'] }, { scopes: ['a', 'b'] }],
    [
      'pages and lifetimes',
      { type: 'browser', origins: ['https://shop.example'], sessionIdleSeconds: '60', accessTokenSeconds: '5' },
      { origins: ['https://shop.example'], sessionIdleSeconds: 60, accessTokenSeconds: 5 },
    ],
    ['bound tokens', { type: 'service', dpop: 'required' }, { type: 'service', dpopRequired: true }],
    ['bound sessions', { type: 'native', dpop: 'required' }, { type: 'native', dpopRequired: true }],
    ['a web view', { type: 'native', origins: ['capacitor://localhost'] }, { origins: ['capacitor://localhost'] }],
    ['a key', { ...keyed, jwks: p256 }, { auth: { method: 'private_key_jwt', jwks: { keys: [JSON.parse(p256)] } } }],
    [
      'a key set',
      { ...keyed, jwks: `{"keys": [${p256}]}` },
      { auth: { method: 'private_key_jwt', jwks: { keys: [JSON.parse(p256)] } } },
    ],
    ['an RSA key of 2048 bits', { ...keyed, jwks: jwkOf(rsa(2048).publicKey) }, { type: 'service' }],
    ['where the keys are', { ...keyed, jwksUri: 'https://shop.example/keys?v=1' }, { type: 'service' }],
    [
      'a workload',
      { ...workload, claims: ['ref=refs/heads/main', 'env=a=b'], workloadJwksUri: 'https://ci.example/keys' },
      {
        auth: {
          method: 'workload',
          issuer: 'https://ci.example',
          subject: 'repo:acme/shop',
          claims: { ref: 'refs/heads/main', env: 'a=b' },
          jwksUri: 'https://ci.example/keys',
        },
      },
    ],
  ])('%s', (_what, stated, registration) => expect(judge(stated)).toMatchObject(registration))
})

test.each<[Partial<Stated>, string]>([
  [{}, 'type must be one of service, browser, native'],
  [{ type: 'Service' }, 'type must be one of'],
  [{ type: 'service', name: '' }, 'name must be text'],
  [{ type: 'service', name: ' shop' }, 'name must be text'],
  [{ type: 'service', name: 'shop\u202e' }, 'name must be text'],
  [{ type: 'service', name: 'e\u0301' }, 'name must be text'],
  [{ type: 'service', name: 'x'.repeat(101) }, '100 characters at most'],
  [{ type: 'service', name: `cl_${'a'.repeat(22)}` }, 'must not look like a client_id'],
  [{ type: 'service', name: 'CL_shop' }, 'must not look like a client_id'],
  [{ type: 'service', name: '--json' }, 'must not begin with a dash'],
  [{ type: 'service', scopes: ['account'] }, 'account: is for people'],
  [{ type: 'service', scopes: ['a"b'] }, 'scopes a"b: must be a scope token'],
  [{ type: 'service', scopes: Array.from({ length: 51 }, (_each, index) => `s${index}`) }, 'scopes must be 50 at most'],
  [
    { type: 'browser', scopes: Array.from({ length: 50 }, (_each, index) => `${index}`.padEnd(64, 's')) },
    'fewer or shorter',
  ],
  [{ type: 'service', audiences: ['a b'] }, 'audiences a b: must be a URI or a name'],
  [{ type: 'service', audiences: [] }, 'audiences must be one or more'],
  [{ type: 'service', origins: ['https://shop.example'] }, 'origins is for clients that people sign in with'],
  [{ type: 'service', sessionIdleSeconds: '60' }, 'sessionIdleSeconds is for clients that people'],
  [{ type: 'browser', origins: ['https://shop.example/'] }, 'must be a plain origin'],
  [{ type: 'browser', origins: ['capacitor://localhost'] }, 'must begin with https://'],
  [{ type: 'browser', origins: ['https://*.example'] }, 'must not be a wildcard'],
  [{ type: 'native', origins: ['null'] }, 'origins null: must be a URL'],
  [{ type: 'native', sessionMaxSeconds: '60' }, 'sessionMaxSeconds is for browser clients'],
  [{ type: 'browser', sessionIdleSeconds: '1' }, 'sessionIdleSeconds must be a whole number from 2 to 86400'],
  [{ type: 'browser', accessTokenSeconds: '1e3' }, 'accessTokenSeconds must be a whole number from 5 to 3600'],
  [{ type: 'browser', sessionMaxSeconds: '60' }, 'sessionIdleSeconds must not exceed'],
  [{ type: 'browser', rememberIdleSeconds: '60', rememberMaxSeconds: '59' }, 'rememberIdleSeconds must not exceed'],
  [{ type: 'browser', auth: 'client_secret_basic' }, 'auth is for services'],
  [{ type: 'native', jwks: p256 }, 'jwks is for services'],
  [{ type: 'service', auth: 'none' }, 'auth must be one of client_secret_basic'],
  [{ type: 'service', jwks: p256 }, 'jwks goes with private_key_jwt'],
  [{ type: 'service', auth: 'client_secret_post', jwksUri: 'https://a.example' }, 'jwksUri goes with private_key_jwt'],
  [{ type: 'service', subject: 'x' }, 'subject goes with workload'],
  [{ type: 'browser', statesVisitorAddress: true }, 'statesVisitorAddress is for services'],
  [{ ...workload, statesVisitorAddress: true }, 'statesVisitorAddress goes with client_secret_basic'],
  [{ type: 'browser', dpop: 'optional' }, 'dpop must be required, or left out'],
  [{ type: 'service', dpop: '' }, 'dpop must be required, or left out'],
  [keyed, 'must be given, one of the two'],
  [{ ...keyed, jwks: p256, jwksUri: 'https://a.example' }, 'must be given, one of the two'],
  [{ ...keyed, jwksUri: 'http://a.example/keys' }, 'jwksUri http://a.example/keys: must begin with https://'],
  [{ ...keyed, jwksUri: 'https://a:b@a.example/keys' }, 'must not hold a user name'],
  [{ ...keyed, jwksUri: 'https://a.example/keys#1' }, 'must not have a fragment'],
  [{ ...keyed, jwks: 'keys' }, 'jwks must be a JWK Set, or one JWK, as JSON'],
  [{ ...keyed, jwks: '{"keys": 1}' }, 'jwks must be a JWK Set'],
  [{ ...keyed, jwks: '{"keys": []}' }, 'must hold 1 to 10 keys'],
  [{ ...keyed, jwks: '-----BEGIN PUBLIC KEY-----' }, 'must be JSON, not PEM'],
  [{ ...keyed, jwks: jwkOf(rsa(1024).publicKey) }, 'key 1: has 1024 bits: at least 2048'],
  [{ ...keyed, jwks: jwkOf(ec('P-256').privateKey) }, 'key 1: is private'],
  [{ ...keyed, jwks: jwkOf(rsa(2048).privateKey) }, 'key 1: is private'],
  [{ ...keyed, jwks: '{"kty":"oct","k":"c2VjcmV0"}' }, 'key 1: is private'],
  [{ ...keyed, jwks: jwkOf(ec('secp256k1').publicKey) }, 'must be on one of the curves'],
  [{ ...keyed, jwks: jwkOf(generateKeyPairSync('ed25519').publicKey) }, 'must be of kty RSA or EC'],
  [{ ...keyed, jwks: '{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}' }, 'is not a public key'],
  [{ ...keyed, jwks: JSON.stringify({ ...JSON.parse(p256), use: 'enc' }) }, 'must be for signatures'],
  [{ ...keyed, jwks: JSON.stringify({ ...JSON.parse(p256), alg: 'RS256' }) }, 'must have an alg that fits'],
  [{ ...keyed, jwks: JSON.stringify({ ...JSON.parse(p256), key_ops: ['sign'] }) }, 'must be for verifying'],
  [{ ...keyed, jwks: `{"keys": [${p256}, ${p256}]}` }, 'a kid of its own'],
  [{ type: 'service', auth: 'workload' }, 'issuer must be given; subject must be given'],
  [{ ...workload, issuer: 'http://ci.example' }, 'must begin with https://'],
  [{ ...workload, issuer: config.ISSUER }, 'issuer must be another one than this'],
  [{ ...workload, issuer: 'https://ci.example?a' }, 'must not have a query'],
  [{ ...workload, subject: '' }, 'subject must be text'],
  [{ ...workload, claims: ['ref'] }, 'claims ref: must be name=value'],
  [{ ...workload, claims: ['=x'] }, 'claims =x: must be name=value'],
  [{ ...workload, claims: ['a=1', 'a=2'] }, 'claims a: is stated twice'],
  [{ ...workload, claims: ['aud=x'] }, 'claims aud: is checked anyway'],
  [{ ...workload, claims: ['a='] }, 'claims a: must be text'],
  [{ ...workload, workloadJwksUri: 'http://ci.example' }, 'workloadJwksUri http://ci.example: must begin with https'],
])('refused: %j', (stated, message) => expect(judge(stated)).toEqual(expect.stringContaining(message)))

test('in production no page or web view of plain http may act for a client', () => {
  for (const type of ['browser', 'native']) {
    const origins = ['http://shop.example']
    expect(judge({ type, origins })).toMatchObject({ origins })
    expect(judge({ type, origins }, production)).toEqual(expect.stringContaining('must be https'))
    expect(judge({ type, origins: ['http://localhost'] }, production)).toMatchObject({ origins: ['http://localhost'] })
  }
})

test('all faults are told at once', () => {
  const told = judge({ type: 'browser', name: ' ', origins: ['x', 'y'], accessTokenSeconds: '0' })
  expect(String(told).split('; ')).toHaveLength(4)
})
