import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { describe, expect, test } from 'vitest'
import type { ServiceAuth } from '../../src/clients/registration.ts'
import { isLive } from '../sessions/support.ts'
import { createTestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { claimsOf, sidOf } from '../support/jwt.ts'
import { freePort } from '../support/server.ts'

// Libraries that nobody here wrote, as their documentation has them, against a server that listens. Both insist on https unless
// they are told otherwise.

const port = await freePort()
const t = forFile(await createTestApp({ env: { PORT: String(port), AUDIENCE: 'orders', SCOPES: 'orders.read' } }))
await t.app.listen({ host: '127.0.0.1', port })
const issuer = new URL(t.config.ISSUER)

const pair = await oauth.generateKeyPair('ES256', { extractable: true })
const jwk = { ...(await crypto.subtle.exportKey('jwk', pair.publicKey)), kid: 'key-1', alg: 'ES256' }
const key = { key: pair.privateKey, kid: 'key-1' }

/** A service for each way to prove itself. */
const METHODS: Record<Exclude<ServiceAuth['method'], 'workload'>, ServiceAuth> = {
  client_secret_basic: { method: 'client_secret_basic' },
  client_secret_post: { method: 'client_secret_post' },
  private_key_jwt: { method: 'private_key_jwt', jwks: { keys: [jwk] } },
}
type Method = keyof typeof METHODS
const methods = Object.keys(METHODS) as Method[]

const register = (method: Method) => addServiceClient(t, { auth: METHODS[method], scopes: ['orders.read'] })

describe('openid-client', () => {
  const proofs: Record<Method, (secret: string) => openid.ClientAuth> = {
    client_secret_basic: openid.ClientSecretBasic,
    client_secret_post: openid.ClientSecretPost,
    private_key_jwt: () => openid.PrivateKeyJwt(key),
  }
  const discover = (clientId: string, proof: openid.ClientAuth, metadata: Partial<openid.ClientMetadata> = {}) =>
    openid.discovery(issuer, clientId, metadata, proof, {
      algorithm: 'oauth2',
      execute: [openid.allowInsecureRequests, openid.enableNonRepudiationChecks],
    })

  test.each(methods)('%s: a token for the service itself, which others ask about', async (method) => {
    const { clientId, secret } = await register(method)
    const config = await discover(clientId, proofs[method](secret))
    const tokens = await openid.clientCredentialsGrant(config, { scope: 'orders.read', resource: 'orders' })
    expect(tokens).toMatchObject({ token_type: 'bearer', expires_in: 600, scope: 'orders.read' })
    expect(tokens.refresh_token).toBeUndefined()
    const claims = claimsOf(tokens.access_token)
    expect(claims).toMatchObject({ sub: clientId, client_id: clientId, aud: 'orders' })
    expect(await openid.tokenIntrospection(config, tokens.access_token)).toMatchObject({ ...claims, active: true })
    expect(await openid.tokenIntrospection(config, 'nothing')).toEqual({ active: false })
  })

  test('an answer in a JWT, whose signature is checked', async () => {
    const { clientId, secret } = await register('client_secret_basic')
    const signed = { introspection_signed_response_alg: 'RS256' }
    const config = await discover(clientId, openid.ClientSecretBasic(secret), signed)
    const { access_token: token } = await openid.clientCredentialsGrant(config)
    expect(await openid.tokenIntrospection(config, token)).toMatchObject({ active: true, sub: clientId })
  })

  test('a native client refreshes, and revokes', async () => {
    const config = await discover('native', openid.None())
    const { refreshToken, accessToken } = await t.signUp()
    const tokens = await openid.refreshTokenGrant(config, refreshToken)
    expect(tokens).toMatchObject({ token_type: 'bearer', refresh_token: expect.stringMatching(/^rt1_/) })
    await openid.tokenRevocation(config, tokens.refresh_token ?? '')
    expect(await isLive(t, sidOf(accessToken))).toBe(false)
    await openid.tokenRevocation(config, tokens.refresh_token ?? '')
    await expect(openid.refreshTokenGrant(config, tokens.refresh_token ?? '')).rejects.toMatchObject({
      error: 'invalid_grant',
      status: 400,
    })
  })

  test('what is refused reads as OAuth has it', async () => {
    const { clientId } = await register('client_secret_basic')
    const config = await discover(clientId, openid.ClientSecretBasic('wrong'))
    await expect(openid.clientCredentialsGrant(config)).rejects.toMatchObject({ status: 401 })
    const { secret } = await register('client_secret_basic')
    const other = await register('client_secret_basic')
    const able = await discover(other.clientId, openid.ClientSecretBasic(other.secret))
    await expect(openid.clientCredentialsGrant(able, { scope: 'everything' })).rejects.toMatchObject({
      error: 'invalid_scope',
      status: 400,
    })
    expect(secret).not.toBe(other.secret)
  })
})

describe('oauth4webapi', async () => {
  const insecure = { [oauth.allowInsecureRequests]: true }
  const server = await oauth.processDiscoveryResponse(
    issuer,
    await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }),
  )
  const proofs: Record<Method, (secret: string) => oauth.ClientAuth> = {
    client_secret_basic: oauth.ClientSecretBasic,
    client_secret_post: oauth.ClientSecretPost,
    private_key_jwt: () => oauth.PrivateKeyJwt(key),
  }

  test.each(methods)('%s: a token for the service itself, which others ask about', async (method) => {
    const { clientId, secret } = await register(method)
    const client = { client_id: clientId }
    const proof = proofs[method](secret)
    const response = await oauth.clientCredentialsGrantRequest(server, client, proof, {}, insecure)
    const { access_token: token } = await oauth.processClientCredentialsResponse(server, client, response)
    const request = new Request(issuer, { headers: { authorization: `Bearer ${token}` } })
    const validated = await oauth.validateJwtAccessToken(server, request, 'orders', insecure)
    expect(validated).toMatchObject({ sub: clientId, client_id: clientId })

    for (const requestJwtResponse of [false, true]) {
      const options = { requestJwtResponse, ...insecure }
      const answer = await oauth.introspectionRequest(server, client, proof, token, options)
      const found = await oauth.processIntrospectionResponse(server, client, answer)
      if (requestJwtResponse) await oauth.validateApplicationLevelSignature(server, answer, insecure)
      expect(found).toEqual({ ...validated, active: true, token_type: 'Bearer' })
    }
  })

  test('a native client refreshes, and revokes', async () => {
    const client = { client_id: 'native' }
    const { refreshToken, accessToken } = await t.signUp()
    const response = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), refreshToken, insecure)
    const tokens = await oauth.processRefreshTokenResponse(server, client, response)
    const token = tokens.refresh_token ?? ''
    await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, oauth.None(), token, insecure))
    expect(await isLive(t, sidOf(accessToken))).toBe(false)
    const late = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), token, insecure)
    await expect(oauth.processRefreshTokenResponse(server, client, late)).rejects.toMatchObject({
      error: 'invalid_grant',
      status: 400,
    })
  })

  test('a client that cannot prove itself is told so by a challenge', async () => {
    const { clientId } = await register('client_secret_basic')
    const client = { client_id: clientId }
    const wrong = oauth.ClientSecretBasic('wrong')
    const response = await oauth.clientCredentialsGrantRequest(server, client, wrong, {}, insecure)
    await expect(oauth.processClientCredentialsResponse(server, client, response)).rejects.toMatchObject({
      cause: [expect.objectContaining({ scheme: 'basic', parameters: { realm: t.config.ISSUER } })],
      status: 401,
    })
  })
})
