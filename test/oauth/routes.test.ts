import Fastify from 'fastify'
import { expect, test } from 'vitest'
import { AUTHORIZATION_SERVER, OPENID } from '../../src/oauth/metadata.ts'
import { metadataEndpoints } from '../../src/oauth/routes.ts'

const { authorizationServer, openid } = metadataEndpoints({ ISSUER: 'https://auth.example.test', DOCS: false })
const app = Fastify()
app.get(AUTHORIZATION_SERVER, { config: { access: 'public' }, ...authorizationServer })
app.get(OPENID, { config: { access: 'public' }, ...openid })

test('metadata says what there is, and nothing else', async () => {
  const oauth = await app.inject('/.well-known/oauth-authorization-server')
  expect(oauth.headers).toMatchObject({
    'content-type': 'application/json',
    'cache-control': 'public, max-age=300, stale-while-revalidate=60, stale-if-error=86400',
  })
  const services = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']
  const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512']
  expect(oauth.json()).toEqual({
    issuer: 'https://auth.example.test',
    jwks_uri: 'https://auth.example.test/.well-known/jwks.json',
    token_endpoint: 'https://auth.example.test/oauth/token',
    grant_types_supported: ['client_credentials', 'refresh_token'],
    token_endpoint_auth_methods_supported: [...services, 'none'],
    token_endpoint_auth_signing_alg_values_supported: algorithms,
    introspection_endpoint: 'https://auth.example.test/oauth/introspect',
    introspection_endpoint_auth_methods_supported: services,
    introspection_endpoint_auth_signing_alg_values_supported: algorithms,
    introspection_signing_alg_values_supported: ['RS256'],
    revocation_endpoint: 'https://auth.example.test/oauth/revoke',
    revocation_endpoint_auth_methods_supported: [...services, 'none'],
    revocation_endpoint_auth_signing_alg_values_supported: algorithms,
    dpop_signing_alg_values_supported: ['ES256', 'ES384', 'ES512', 'Ed25519', 'EdDSA', 'PS256', 'RS256'],
  })
  const openid = await app.inject('/.well-known/openid-configuration')
  expect(openid.json()).toEqual({ ...oauth.json(), subject_types_supported: ['public'] })
  for (const document of [oauth, openid]) {
    // RFC 8414 §3.2: no empty arrays.
    expect(Object.values(document.json()).filter((value) => Array.isArray(value) && value.length === 0)).toEqual([])
  }
})

test('metadata does not depend on the request', async () => {
  const url = '/.well-known/openid-configuration'
  const plain = await app.inject(url)
  const forged = await app.inject({
    url,
    headers: {
      host: 'evil.test',
      'x-forwarded-host': 'evil.test',
      'x-forwarded-proto': 'http',
      forwarded: 'host=evil.test',
    },
  })
  expect(forged.rawPayload).toEqual(plain.rawPayload)
})
