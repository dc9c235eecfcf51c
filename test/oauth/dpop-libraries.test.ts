import { createPublicKey } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { describe, expect, test } from 'vitest'
import { createTestApp, refreshTokenOf } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import { createProofKey, type ProofKey } from '../support/dpop.ts'
import { forFile } from '../support/for-file.ts'
import { claimsOf } from '../support/jwt.ts'
import { freePort } from '../support/server.ts'

// Bound tokens for libraries that nobody here wrote, by their own proofs and their own handling of nonces: every proof needs one here,
// and no client has one before it has asked.

const port = await freePort()
const env = { PORT: String(port), AUDIENCE: 'orders', SCOPES: 'orders.read', DPOP_NONCE: 'required' }
const t = forFile(await createTestApp({ env }))
await t.app.listen({ host: '127.0.0.1', port })
const issuer = new URL(t.config.ISSUER)
const me = new URL('/me', issuer)
const orders = await addServiceClient(t, { audiences: ['orders'], dpopRequired: true, scopes: ['orders.read'] })

/** What the server was asked and refused since then, as `<path> <error>`. */
function refusalsSince(start: number): string[] {
  const lines = t.logs.slice(start).filter(({ msg, code }) => msg === 'request' && code !== undefined)
  return lines.map(({ route, code }) => [route, code].join(' '))
}

/** OAuth has no grant that takes a password, so the session begins at `/login`. @returns its refresh token. */
async function signIn(key: ProofKey): Promise<string> {
  const { email, password } = await t.signUp()
  const proof = key.proof({ method: 'POST', url: `${issuer.origin}/login`, nonce: t.deps.dpop.nonce() })
  const answer = await t.login({ email, password }, { dpop: proof })
  expect(answer.json().token_type).toBe('DPoP')
  return refreshTokenOf(answer)
}

/** The key as the libraries take it. */
function pairOf({ privateKey }: ProofKey): oauth.CryptoKeyPair {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
  return {
    privateKey: privateKey.toCryptoKey(algorithm, false, ['sign']),
    publicKey: createPublicKey(privateKey).toCryptoKey(algorithm, true, ['verify']),
  }
}

describe('openid-client', () => {
  const discover = (clientId: string, proof: openid.ClientAuth) =>
    openid.discovery(issuer, clientId, {}, proof, { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] })

  test('reads in the metadata which algorithms there are, and has a token bound to a key of each that it makes', async () => {
    const config = await discover(orders.clientId, openid.ClientSecretBasic(orders.secret))
    const algorithms = config.serverMetadata().dpop_signing_alg_values_supported ?? []
    expect(algorithms).toContain('ES256')
    const makes = algorithms.filter((alg) => alg !== 'EdDSA')
    for (const alg of makes) {
      const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair(alg))
      const start = t.logs.length
      const tokens = await openid.clientCredentialsGrant(config, {}, { DPoP })
      expect([alg, tokens.token_type]).toEqual([alg, 'dpop'])
      expect(claimsOf(tokens.access_token)).toMatchObject({ cnf: { jkt: await DPoP.calculateThumbprint() } })
      expect(refusalsSince(start)).toEqual(['/oauth/token use_dpop_nonce'])
      // The nonce of the answer serves for the next one.
      await openid.clientCredentialsGrant(config, {}, { DPoP })
      expect(refusalsSince(start)).toHaveLength(1)
    }
  })

  test('a native client refreshes a bound session, over and over, and uses its tokens', async () => {
    const config = await discover('native', openid.None())
    const key = createProofKey()
    const DPoP = openid.getDPoPHandle(config, pairOf(key))
    let token = await signIn(key)
    const start = t.logs.length
    for (let time = 0; time < 3; time++) {
      const tokens = await openid.refreshTokenGrant(config, token, {}, { DPoP })
      expect(tokens).toMatchObject({ token_type: 'dpop', refresh_token: expect.stringMatching(/^rt1_/) })
      expect(claimsOf(tokens.access_token)).toMatchObject({ cnf: { jkt: key.jkt } })
      const answer = await openid.fetchProtectedResource(config, tokens.access_token, me, 'GET', null, undefined, {
        DPoP,
      })
      expect(answer.status).toBe(200)
      token = tokens.refresh_token ?? ''
    }
    expect(refusalsSince(start)).toEqual(['/oauth/token use_dpop_nonce'])
  })

  test('is told of a bound token as of one, and by whose key it is good', async () => {
    const config = await discover(orders.clientId, openid.ClientSecretBasic(orders.secret))
    const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair())
    const { access_token: token } = await openid.clientCredentialsGrant(config, {}, { DPoP })
    expect(await openid.tokenIntrospection(config, token)).toMatchObject({
      active: true,
      token_type: 'DPoP',
      cnf: { jkt: await DPoP.calculateThumbprint() },
    })
  })

  test('a client that has to prove its key and does not is told so', async () => {
    const config = await discover(orders.clientId, openid.ClientSecretBasic(orders.secret))
    await expect(openid.clientCredentialsGrant(config)).rejects.toMatchObject({
      error: 'invalid_dpop_proof',
      status: 400,
    })
  })
})

describe('oauth4webapi', async () => {
  const insecure = { [oauth.allowInsecureRequests]: true }
  const server = await oauth.processDiscoveryResponse(
    issuer,
    await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }),
  )

  /** As the documentation of the library has it: once more with the nonce, where one is asked for. */
  async function withNonce<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      if (!oauth.isDPoPNonceError(error)) throw error
      return await ask()
    }
  }

  test('a bound token for a service, which a resource server verifies with its proof', async () => {
    const client: oauth.Client = { client_id: orders.clientId }
    const proof = oauth.ClientSecretBasic(orders.secret)
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
    const options = { DPoP, ...insecure }
    const start = t.logs.length
    const { access_token: token, token_type: type } = await withNonce(async () => {
      const answer = await oauth.clientCredentialsGrantRequest(server, client, proof, {}, options)
      return await oauth.processClientCredentialsResponse(server, client, answer)
    })
    expect([type, refusalsSince(start)]).toEqual(['dpop', ['/oauth/token use_dpop_nonce']])
    const place = new URL('https://orders.example.com/1')
    const resource = async (request: Request) =>
      Response.json(await oauth.validateJwtAccessToken(server, request, 'orders', insecure))
    const fetch = (url: string, { method, headers }: { method: string; headers: Record<string, string> }) =>
      resource(new Request(url, { method, headers }))
    const toResource = { DPoP, [oauth.customFetch]: fetch }
    const got = await oauth.protectedResourceRequest(token, 'GET', place, undefined, undefined, toResource)
    expect(await got.json()).toMatchObject({
      sub: orders.clientId,
      cnf: { jkt: await DPoP.calculateThumbprint() },
    })
    const stolen = new Request(place, { headers: { authorization: `Bearer ${token}` } })
    await expect(resource(stolen)).rejects.toThrow('no DPoP HTTP Header')
  })

  test('a native client refreshes a bound session, and uses its token', async () => {
    const client: oauth.Client = { client_id: 'native' }
    const key = createProofKey()
    const options = { DPoP: oauth.DPoP(client, pairOf(key)), ...insecure }
    const first = await signIn(key)
    const start = t.logs.length
    const refresh = (token: string) =>
      withNonce(async () => {
        const answer = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), token, options)
        return await oauth.processRefreshTokenResponse(server, client, answer)
      })
    const second = await refresh(first)
    const third = await refresh(second.refresh_token ?? '')
    expect([second.token_type, third.token_type]).toEqual(['dpop', 'dpop'])
    expect(refusalsSince(start)).toEqual(['/oauth/token use_dpop_nonce'])
    const own = await oauth.protectedResourceRequest(third.access_token, 'GET', me, undefined, undefined, options)
    expect(own.status).toBe(200)
  })

  test('somebody else’s key refreshes nothing, and is told why', async () => {
    const client: oauth.Client = { client_id: 'native' }
    const key = createProofKey()
    const token = await signIn(key)
    const refresh = (DPoP?: oauth.DPoPHandle) =>
      withNonce(async () => {
        const options = { ...(DPoP && { DPoP }), ...insecure }
        const answer = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), token, options)
        return await oauth.processRefreshTokenResponse(server, client, answer)
      })
    const refused = { error: 'invalid_dpop_proof', status: 400 }
    await expect(refresh()).rejects.toMatchObject(refused)
    await expect(refresh(oauth.DPoP(client, await oauth.generateKeyPair('ES256')))).rejects.toMatchObject(refused)
    expect(await refresh(oauth.DPoP(client, pairOf(key)))).toMatchObject({ token_type: 'dpop' })
  })
})
