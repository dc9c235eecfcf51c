import { constants, createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import { describe, expect, test, vi } from 'vitest'
import { verifyAccessToken } from '../../src/tokens/verify.ts'
import { forFile } from '../support/for-file.ts'
import { claimsOf, encode, headerOf, type Json, signJwt } from '../support/jwt.ts'
import { statements } from '../users/support.ts'
import {
  bearer,
  COOKIE,
  expectRefused,
  logout,
  post,
  register,
  signIn,
  signingKey,
  startApp,
  stopClock,
} from './support.ts'

const t = forFile(await startApp({ AUDIENCE: 'https://api.example.com,orders' }))
const travel = stopClock(t)
const user = await register(t)
const { token, accessToken, sid } = await signIn(t, user)
const { privateKey, kid } = await signingKey(t)
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 })
const header = headerOf(accessToken)
const claims = claimsOf(accessToken)
const now = claims.iat as number
const [head = '', payload = '', signature = ''] = accessToken.split('.')

const CHALLENGE = `Bearer realm="${t.config.ISSUER}"`
const DPOP = `DPoP realm="${t.config.ISSUER}"`
const ALGS = 'algs="ES256 ES384 ES512 Ed25519 EdDSA PS256 RS256"'
const NO_TOKEN = `${CHALLENGE}, ${DPOP}, ${ALGS}`
const BAD_TOKEN = `${CHALLENGE}, error="invalid_token"`

/** Right in all but the members given; undefined removes one. */
const withHeader = (change: Json) => signJwt(privateKey, clean({ ...header, ...change }), claims)
const withClaims = (change: Json) => signJwt(privateKey, header, clean({ ...claims, ...change }))
const clean = (object: Json) => JSON.parse(JSON.stringify(object)) as Json
const signed = (algorithm: string, alg: string, options = {}) => {
  const input = `${encode({ ...header, alg })}.${payload}`
  return `${input}.${sign(algorithm, Buffer.from(input), { key: privateKey, ...options }).toString('base64url')}`
}
const publicPem = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' })
const macced = (alg: string, key: string | Buffer) => {
  const input = `${encode({ ...header, alg })}.${payload}`
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
}
const strangerJwk = stranger.publicKey.export({ format: 'jwk' })
const byStranger = (change: Json) => signJwt(stranger.privateKey, { ...header, ...change }, claims)

/** Another last character for the same bytes: base64url of 256 bytes has four spare bits. */
function respelled(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const other = alphabet[alphabet.indexOf(text.at(-1) ?? '') + 1] ?? ''
  const result = text.slice(0, -1) + other
  expect(Buffer.from(result, 'base64url').equals(Buffer.from(text, 'base64url'))).toBe(true)
  return result
}

test('a token put together like these, with nothing wrong, is accepted', async () => {
  for (const good of [
    accessToken,
    withHeader({}),
    withClaims({}),
    withHeader({ typ: 'application/at+jwt' }),
    withClaims({ aud: ['x', 'orders'] }),
  ]) {
    expect((await bearer(t, good)).statusCode).toBe(200)
  }
})

/** Nothing of these is believed before the signature is, so the database is not even asked. */
const forgeries: Record<string, string> = {
  'alg none': `${encode({ ...header, alg: 'none' })}.${payload}.`,
  'alg none with a signature': `${encode({ ...header, alg: 'none' })}.${payload}.${signature}`,
  'alg NoNe': `${encode({ ...header, alg: 'NoNe' })}.${payload}.${signature}`,
  'alg rs256': withHeader({ alg: 'rs256' }),
  'no alg': withHeader({ alg: undefined }),
  'HS256 under the public key in PEM': macced('HS256', publicPem),
  'HS256 under the empty key': macced('HS256', ''),
  'PS256 under our own key': signed('sha256', 'PS256', { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
  'RS384 under our own key': signed('sha384', 'RS384'),
  'RS512 under our own key': signed('sha512', 'RS512'),
  'RS256 with a signature of SHA-512': `${head}.${payload}.${sign('sha512', Buffer.from(`${head}.${payload}`), privateKey).toString('base64url')}`,
  ES256: withHeader({ alg: 'ES256' }),
  EdDSA: withHeader({ alg: 'EdDSA' }),
  'a stranger’s key under our kid': byStranger({}),
  'a stranger’s key in jwk': byStranger({ jwk: strangerJwk }),
  'our own key with jwk': withHeader({ jwk: createPublicKey(privateKey).export({ format: 'jwk' }) }),
  jku: withHeader({ jku: 'http://127.0.0.1:9/jwks.json' }),
  x5u: withHeader({ x5u: 'http://127.0.0.1:9/cert.pem' }),
  x5c: withHeader({ x5c: ['AAAA'] }),
  x5t: withHeader({ x5t: 'AAAA' }),
  crit: withHeader({ crit: ['exp'] }),
  'crit and b64': withHeader({ crit: ['b64'], b64: false }),
  b64: withHeader({ b64: true }),
  zip: withHeader({ zip: 'DEF' }),
  enc: withHeader({ enc: 'A256GCM' }),
  cty: withHeader({ cty: 'JWT' }),
  'typ JWT': withHeader({ typ: 'JWT' }),
  'no typ': withHeader({ typ: undefined }),
  'typ of a security event': withHeader({ typ: 'secevent+jwt' }),
  'typ of a DPoP proof': withHeader({ typ: 'dpop+jwt' }),
  'typ of an introspection response': withHeader({ typ: 'token-introspection+jwt' }),
  'typ of a client assertion': withHeader({ typ: 'client-authentication+jwt' }),
  'no kid': withHeader({ kid: undefined }),
  'an unknown kid': withHeader({ kid: 'A'.repeat(43) }),
  'a kid that is a path': withHeader({ kid: '../../etc/passwd' }),
  'a kid that is SQL': withHeader({ kid: `${kid}' OR '1'='1` }),
  'a kid that is a number': withHeader({ kid: 1 }),
  'a kid with a newline': withHeader({ kid: `${kid}\n` }),
  'a kid of Object.prototype': withHeader({ kid: '__proto__' }),
  'a header that is no object': signJwt(privateKey, 'null', claims),
  'a header that is no JSON': signJwt(privateKey, '{', claims),
  'another payload': `${head}.${encode({ ...claims, sub: 'root' })}.${signature}`,
  'an empty signature': `${head}.${payload}.`,
  'a short signature': `${head}.${payload}.${signature.slice(0, -4)}`,
  'a long signature': `${accessToken}AAAA`,
  'a signature respelled in its last character': `${head}.${payload}.${respelled(signature)}`,
  'a padded signature': `${accessToken}==`,
  'two parts': `${head}.${payload}`,
  'four parts': `${accessToken}.${signature}`,
  'five parts, like a JWE': `${accessToken}.${signature}.${signature}`,
  'more than 8 KiB': withClaims({ more: 'x'.repeat(9000) }),
  'our issuer with a slash': withClaims({ iss: `${t.config.ISSUER}/` }),
  'another issuer': withClaims({ iss: 'https://evil.example' }),
  'no issuer': withClaims({ iss: undefined }),
  'our issuer in a list': withClaims({ iss: [t.config.ISSUER] }),
  expired: withClaims({ exp: now }),
  'no exp': withClaims({ exp: undefined }),
  'exp as text': withClaims({ exp: String(now + 600) }),
  'exp as a fraction': withClaims({ exp: now + 600.5 }),
  'iat more than a minute ahead': withClaims({ iat: now + 61 }),
  'no iat': withClaims({ iat: undefined }),
  'no sub': withClaims({ sub: undefined }),
  'no sid': withClaims({ sid: undefined }),
  'no jti': withClaims({ jti: undefined }),
  'no scope': withClaims({ scope: undefined }),
  'scope as a list': withClaims({ scope: ['account'] }),
  'no client_id': withClaims({ client_id: undefined }),
  'no aud': withClaims({ aud: undefined }),
  'another audience': withClaims({ aud: 'shipping' }),
  'no audience in the list': withClaims({ aud: [] }),
  'an unknown client': withClaims({ client_id: 'nobody' }),
  'a sid that is no UUID': withClaims({ sid: "' OR 1=1 --" }),
  'a payload that is no object': signJwt(privateKey, header, 'null'),
  'a payload that is no JSON': signJwt(privateKey, header, 'x'),
}

test.each(Object.keys(forgeries))(
  'an access token with %s is 401, without a query or an outbound request',
  async (name) => {
    const spies = [vi.spyOn(globalThis, 'fetch'), vi.spyOn(http, 'request'), vi.spyOn(https, 'request')]
    const asked = await statements(t, async () => {
      const answer = await bearer(t, forgeries[name] ?? '')
      expect([answer.statusCode, answer.json().code]).toEqual([401, 'invalid_token'])
      expect(answer.headers['www-authenticate']).toBe(BAD_TOKEN)
      expect(answer.headers['set-cookie']).toBeUndefined()
    })
    expect(asked).toEqual([])
    for (const spy of spies) expect(spy).not.toHaveBeenCalled()
    vi.restoreAllMocks()
  },
)

test('white space around a token is not part of any token', async () => {
  // No header can carry these, so the verifier is asked itself.
  for (const text of [
    `${accessToken}\n`,
    `${accessToken} `,
    ` ${accessToken}`,
    `${head}\n.${payload}.${signature}`,
    `${accessToken}\0`,
  ]) {
    expect(await verifyAccessToken(t.deps.keyring, text, t.config.ISSUER, t.deps.clock())).toMatchObject({
      kind: 'refused',
    })
  }
})

test('a token is good until the second it expires, and not in it', async () => {
  const fresh = await signIn(t, user)
  travel(599)
  expect((await bearer(t, fresh.accessToken)).statusCode).toBe(200)
  travel(1)
  expect((await bearer(t, fresh.accessToken)).statusCode).toBe(401)
})

describe('a good signature is not enough', () => {
  test.each<[string, () => Promise<string> | string]>([
    [
      'of a session that does not exist',
      () => withClaims({ sid: '01980000-0000-7000-8000-000000000000', exp: now + 3600 }),
    ],
    [
      'of the session of another user',
      async () => withClaims({ sid: (await signIn(t, await register(t))).sid, exp: now + 3600 }),
    ],
    [
      'of the session of another client',
      async () => withClaims({ sid: (await signIn(t, user, 'cookie')).sid, exp: now + 3600 }),
    ],
    [
      'of a session that was ended',
      async () => {
        const ended = await signIn(t, user)
        await logout(t, 'body', ended.token)
        return ended.accessToken
      },
    ],
    [
      'of a session that has expired',
      async () => {
        const expired = await signIn(t, user)
        await t.db.updateTable('families').set({ expires_at: t.deps.clock() }).where('id', '=', expired.sid).execute()
        return expired.accessToken
      },
    ],
    [
      'of a session that was idle for too long',
      async () => {
        const idle = await signIn(t, user)
        await t.db
          .updateTable('families')
          .set({ idle_seconds: 1, rotated_at: new Date(t.deps.clock().getTime() - 1000) })
          .where('id', '=', idle.sid)
          .execute()
        return idle.accessToken
      },
    ],
  ])('%s', async (_name, make) => {
    const answer = await bearer(t, await make())
    expect([answer.statusCode, answer.json().code]).toEqual([401, 'invalid_token'])
    expect(answer.headers['www-authenticate']).toBe(BAD_TOKEN)
  })

  test('the same claims with the right session are accepted', async () => {
    expect((await bearer(t, withClaims({ exp: now + 3600 }))).statusCode).toBe(200)
  })
})

describe('one kind of token in place of another', () => {
  test('a refresh token opens no bearer endpoint', async () => {
    const answer = await bearer(t, token)
    expect([answer.statusCode, answer.headers['www-authenticate']]).toEqual([401, BAD_TOKEN])
  })

  test('the refresh cookie opens no bearer endpoint', async () => {
    const browser = await signIn(t, user, 'cookie')
    for (const url of ['/me', '/sessions']) {
      const answer = await t.inject({
        url,
        headers: { cookie: `${COOKIE}=${browser.token}`, origin: new URL(t.config.ISSUER).origin },
      })
      expect([answer.statusCode, answer.headers['www-authenticate']]).toEqual([401, NO_TOKEN])
    }
  })

  test('an access token is refused as a refresh token, however long it is, and its session lives', async () => {
    const rich = await register(t)
    await t.db
      .updateTable('users')
      .set({ roles: Array.from({ length: 40 }, (_, i) => `role-of-some-length-${i}`) })
      .where('id', '=', rich.id)
      .execute()
    for (const session of [await signIn(t, user), await signIn(t, rich), await signIn(t, rich, 'cookie')]) {
      expectRefused(await post(t, '/refresh', { body: { refresh_token: session.accessToken } }))
      expectRefused(
        await post(t, '/refresh', {
          cookie: session.accessToken,
          headers: { origin: new URL(t.config.ISSUER).origin },
        }),
      )
      expect((await bearer(t, session.accessToken)).statusCode).toBe(200)
    }
  })

  test('logout with an access token in the place of the refresh token ends nothing', async () => {
    const session = await signIn(t, user)
    expect((await logout(t, 'body', session.accessToken)).statusCode).toBe(204)
    expect((await bearer(t, session.accessToken)).statusCode).toBe(200)
  })
})

describe('where the access token is read', () => {
  test('the scheme may be in any case', async () => {
    const fresh = await signIn(t, user)
    for (const scheme of ['bearer', 'BEARER', 'Bearer']) {
      expect(
        (await t.inject({ url: '/me', headers: { authorization: `${scheme} ${fresh.accessToken}` } })).statusCode,
      ).toBe(200)
    }
  })

  test('without a token the challenge names no error', async () => {
    for (const [method, url] of [
      ['GET', '/me'],
      ['GET', '/sessions'],
      ['DELETE', '/sessions'],
      ['DELETE', `/sessions/${sid}`],
      ['POST', '/password'],
    ] as const) {
      const answer = await t.inject({ method, url })
      expect([answer.statusCode, answer.json().code]).toEqual([401, 'invalid_token'])
      expect(answer.headers['www-authenticate']).toBe(NO_TOKEN)
    }
  })

  test('in the query string it is 400, in the body 401', async () => {
    const fresh = await signIn(t, user)
    for (const url of ['/me', '/sessions']) {
      expect((await t.inject({ url: `${url}?access_token=${fresh.accessToken}` })).statusCode).toBe(400)
    }
    const answer = await post(t, '/password', { body: { access_token: fresh.accessToken } })
    expect([answer.statusCode, answer.headers['www-authenticate']]).toEqual([401, NO_TOKEN])
  })

  test.each(['Basic', 'Token', 'JWT', ''])('under the scheme %j it is 401', async (scheme) => {
    const fresh = await signIn(t, user)
    const answer = await t.inject({ url: '/me', headers: { authorization: `${scheme} ${fresh.accessToken}`.trim() } })
    expect([answer.statusCode, answer.headers['www-authenticate']]).toEqual([401, NO_TOKEN])
  })
})
