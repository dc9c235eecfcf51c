import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { createKeyring, type HeldKey } from '../../src/keys/keyring.ts'
import { generateKey } from '../../src/keys/material.ts'
import { type AccessTokenInput, issueAccessToken, issueServiceToken } from '../../src/tokens/access.ts'
import { verifyAccessToken } from '../../src/tokens/verify.ts'
import { atOnce } from '../support/at-once.ts'
import { claimsOf, encode } from '../support/jwt.ts'

const ISSUER = 'https://auth.example.com'
const NOW = new Date('2026-01-02T03:04:05.678Z')
const IAT = Math.floor(NOW.getTime() / 1000)

const { keyring, hold } = createKeyring()
let key: HeldKey
beforeAll(async () => {
  key = { ...(await generateKey(2048)), state: 'active' }
  hold([key])
})

const input: AccessTokenInput = {
  issuer: ISSUER,
  lifetimeSeconds: 600,
  userId: '41ceb336-d2cd-4073-8c08-2cfd8fad1358',
  sessionId: '01a20103-265f-70d5-ae22-31d5ab51123f',
  clientId: 'native',
  scope: ['account', 'orders.read'],
  audience: ['https://api.example.com'],
  authTime: new Date('2026-01-01T00:00:00.900Z'),
  amr: ['pwd'],
  roles: ['admin'],
  claims: {},
  dpopJkt: null,
}

const later = (seconds: number): Date => new Date(NOW.getTime() + seconds * 1000)

describe('issued', () => {
  test('the claims are these, as integers and with nothing personal among them', async () => {
    const claims = claimsOf(await issueAccessToken(keyring, NOW, input))
    const { jti, ...rest } = claims
    expect(rest).toEqual({
      iss: ISSUER,
      sub: input.userId,
      aud: 'https://api.example.com',
      client_id: 'native',
      iat: IAT,
      exp: IAT + 600,
      sid: input.sessionId,
      scope: 'account orders.read',
      auth_time: 1767225600,
      amr: ['pwd'],
      roles: ['admin'],
    })
    expect(jti).toMatch(/^[A-Za-z0-9_-]{22}$/)
  })

  test('no two tokens share their jti', async () => {
    const tokens = await atOnce(100, () => issueAccessToken(keyring, NOW, input))
    expect(new Set(tokens.map((token) => claimsOf(token).jti)).size).toBe(100)
  })

  test('several audiences are a list, and none is an error', async () => {
    const two = await issueAccessToken(keyring, NOW, { ...input, audience: ['a', 'b'] })
    expect(claimsOf(two).aud).toEqual(['a', 'b'])
    await expect(issueAccessToken(keyring, NOW, { ...input, audience: [] })).rejects.toThrow('audience')
  })

  test('custom claims are added and replace none of ours', async () => {
    const claims = {
      team: 'blue',
      sub: 'somebody else',
      exp: 9e9,
      roles: ['root'],
      scope: 'everything',
      sid: 'x',
      iss: 'x',
    }
    const found = claimsOf(await issueAccessToken(keyring, NOW, { ...input, claims }))
    expect(found).toMatchObject({
      team: 'blue',
      sub: input.userId,
      exp: IAT + 600,
      roles: ['admin'],
      sid: input.sessionId,
      iss: ISSUER,
    })
  })
})

describe('a custom claim', () => {
  /** RFC 7519 §4.1, RFC 9068 §2.2, RFC 8693 §4, OpenID Connect Core §2, RFC 7800, RFC 9396, RFC 8417. */
  const registered = [
    'iss sub aud exp nbf iat jti client_id sid scope auth_time amr acr roles act may_act azp nonce at_hash c_hash s_hash',
    'cnf authorization_details events active token_type __proto__ constructor prototype',
  ].flatMap((names) => names.split(' '))

  test.each(registered)('named %s is never copied', async (name) => {
    const claims = JSON.parse(`{"${name}": "intruder", "team": "blue"}`) as Record<string, unknown>
    const token = await issueAccessToken(keyring, NOW, { ...input, claims })
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()
    expect(payload).not.toContain('intruder')
    expect(claimsOf(token)).toMatchObject({ team: 'blue' })
    expect(await verdict(token)).toBe('accepted')
  })
})

/** A token under our key with whatever header and claims. */
function forge(header: object, claims: object, privateKey: KeyObject = key.privateKey): string {
  const signed = `${encode(header)}.${encode(claims)}`
  return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), privateKey).toString('base64url')}`
}

const good = {
  iss: ISSUER,
  sub: 'u',
  aud: 'a',
  client_id: 'web',
  iat: IAT,
  exp: IAT + 600,
  jti: 'j',
  sid: 's',
  scope: 'account',
}
/** What changes the good one into that of a service. */
const service = { sub: 'cl_s', client_id: 'cl_s', sid: undefined }
const header = () => ({ alg: 'RS256', typ: 'at+jwt', kid: key.kid })
const verdict = async (token: string, now = NOW): Promise<unknown> => {
  const found = await verifyAccessToken(keyring, token, ISSUER, now)
  return found.kind === 'refused' ? found.reason : 'accepted'
}

describe('verified', () => {
  test('one that was issued is accepted until the second in which it expires', async () => {
    const token = await issueAccessToken(keyring, NOW, input)
    expect(await verdict(token)).toBe('accepted')
    expect(await verdict(token, new Date((IAT + 600) * 1000 - 1))).toBe('accepted')
    expect(await verdict(token, new Date((IAT + 600) * 1000))).toBe('exp')
  })

  test('that of a service is accepted, which has no session and need not have a scope', async () => {
    expect(await verdict(forge(header(), { ...good, ...service }))).toBe('accepted')
    expect(await verdict(forge(header(), { ...good, ...service, scope: undefined }))).toBe('accepted')
    const own = { issuer: ISSUER, lifetimeSeconds: 600, clientId: 'cl_s', scope: [], audience: ['a'], dpopJkt: null }
    expect(await verdict(await issueServiceToken(keyring, NOW, own))).toBe('accepted')
  })

  test('both spellings of the type are accepted', async () => {
    expect(await verdict(forge(header(), good))).toBe('accepted')
    expect(await verdict(forge({ ...header(), typ: 'application/at+jwt' }, good))).toBe('accepted')
  })

  test.each<[string, object]>([
    ['alg none', { alg: 'none' }],
    ['alg None', { alg: 'None' }],
    ['alg HS256', { alg: 'HS256' }],
    ['alg PS256', { alg: 'PS256' }],
    ['alg RS512', { alg: 'RS512' }],
    ['alg ES256', { alg: 'ES256' }],
    ['alg rs256', { alg: 'rs256' }],
    ['no alg', { alg: undefined }],
    ['typ JWT', { typ: 'JWT' }],
    ['no typ', { typ: undefined }],
    ['typ secevent+jwt', { typ: 'secevent+jwt' }],
    ['typ token-introspection+jwt', { typ: 'token-introspection+jwt' }],
    ['jku', { jku: 'https://evil.example/jwks.json' }],
    ['jwk', { jwk: { kty: 'RSA', n: 'AQAB', e: 'AQAB' } }],
    ['x5u', { x5u: 'https://evil.example/cert' }],
    ['x5c', { x5c: ['AAAA'] }],
    ['crit', { crit: ['b64'] }],
    ['b64', { b64: false }],
    ['zip', { zip: 'DEF' }],
    ['enc', { enc: 'A256GCM' }],
    ['cty', { cty: 'JWT' }],
  ])('a header with %s is refused, though the signature is ours', async (_what, change) => {
    expect(await verdict(forge({ ...header(), ...change }, good))).toBe('header')
  })

  test.each([[''], ['constructor'], ['../../etc/passwd'], ["' OR 1=1--"], ['A'.repeat(43)], ['A'.repeat(44)]])(
    'the kid %j is refused',
    async (kid) => {
      expect(await verdict(forge({ ...header(), kid }, good))).toBe('kid')
    },
  )

  test('a token of another key under our kid is refused', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    expect(await verdict(forge(header(), good, privateKey))).toBe('signature')
  })

  test('the public key is no HMAC secret, and RSA-PSS is not RS256', async () => {
    const signed = `${encode(header())}.${encode(good)}`
    const pem = key.publicKey.export({ type: 'spki', format: 'pem' })
    expect(await verdict(`${signed}.${createHmac('sha256', pem).update(signed).digest('base64url')}`)).toBe('signature')
    const pss = sign('sha256', Buffer.from(signed), { key: key.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING })
    expect(await verdict(`${signed}.${pss.toString('base64url')}`)).toBe('signature')
  })

  test('a changed claim, a cut token and another spelling of the signature are refused', async () => {
    const token = forge(header(), good)
    const [first, , last = ''] = token.split('.')
    expect(await verdict(`${first}.${encode({ ...good, sub: 'root' })}.${last}`)).toBe('signature')
    // 256 bytes leave four spare bits in the last character: sixteen spellings, of which one is ours.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const other = alphabet[alphabet.indexOf(last.at(-1) ?? '') + 1] ?? ''
    expect(await verdict(token.slice(0, -1) + other)).toBe('encoding')
    for (const bad of [
      `${token}\n`,
      ` ${token}`,
      `${token}=`,
      `${token}.`,
      token.slice(0, token.lastIndexOf('.') + 1),
      '',
      'a.b',
      `${token}.${last}`,
    ]) {
      expect(await verdict(bad)).toBe('shape')
    }
    expect(await verdict('a'.repeat(9000))).toBe('shape')
    expect(await verdict(`${encode('null')}.${encode('{}')}.${last}`)).toBe('header')
    expect(await verdict(`${encode('x')}.${encode('{}')}.${last}`)).toBe('header')
  })

  test.each<[string, object, string]>([
    ['another issuer', { iss: `${ISSUER}/` }, 'iss'],
    ['no issuer', { iss: undefined }, 'iss'],
    ['no expiry', { exp: undefined }, 'exp'],
    ['an expiry in words', { exp: '9999999999' }, 'exp'],
    ['an expiry with a fraction', { exp: IAT + 600.5 }, 'exp'],
    ['an expiry beyond every date', { exp: 1e308 }, 'exp'],
    ['an expiry in a year', { exp: IAT + 365 * 86_400 }, 'exp'],
    ['a life longer than any setting allows', { iat: IAT - 3000, exp: IAT + 601 }, 'exp'],
    ['an end before its beginning', { iat: IAT + 50, exp: IAT + 20 }, 'exp'],
    ['a past expiry', { exp: IAT - 1 }, 'exp'],
    ['no time of issue', { iat: undefined }, 'iat'],
    ['a time of issue more than a minute ahead', { iat: IAT + 62, exp: IAT + 662 }, 'iat'],
    ['a time of issue beyond every date', { iat: -1e300 }, 'iat'],
    ['a beginning that is still to come', { nbf: IAT + 2 }, 'nbf'],
    ['a beginning in words', { nbf: 'now' }, 'nbf'],
    ['a beginning that is null', { nbf: null }, 'nbf'],
    ['a beginning beyond every date', { nbf: -1e308 }, 'nbf'],
    ['no subject', { sub: undefined }, 'claims'],
    ['a subject that is no text', { sub: 1 }, 'claims'],
    ['no session', { sid: undefined }, 'claims'],
    ['no client', { client_id: undefined }, 'claims'],
    ['no jti', { jti: undefined }, 'claims'],
    ['no scope', { scope: undefined }, 'claims'],
    ['no session, but a sign-in', { ...service, auth_time: IAT }, 'claims'],
    ['a service that is not its client', { ...service, client_id: 'cl_b' }, 'claims'],
    ['a scope of a service that is no text', { ...service, scope: ['read'] }, 'claims'],
    ['a session that is no text', { ...service, sid: null }, 'claims'],
    ['no audience', { aud: undefined }, 'aud'],
  ])('claims with %s are refused', async (_what, change, reason) => {
    expect(await verdict(forge(header(), { ...good, ...change }))).toBe(reason)
  })

  test('a minute of a clock that is ahead is forgiven', async () => {
    expect(await verdict(forge(header(), { ...good, iat: IAT + 60, exp: IAT + 660 }))).toBe('accepted')
    expect(await verdict(await issueAccessToken(keyring, later(59), input))).toBe('accepted')
  })

  test('the longest life that a setting allows is accepted, and a beginning that is past', async () => {
    expect(await verdict(forge(header(), { ...good, iat: IAT - 3000, exp: IAT + 600 }))).toBe('accepted')
    expect(await verdict(forge(header(), { ...good, nbf: IAT }))).toBe('accepted')
  })

  test.each(['failed', 'kind', 'reason', 'claims', 'error', 'value', 'then'])(
    'a claim that is named %s is a claim like any other',
    async (name) => {
      const token = await issueAccessToken(keyring, NOW, { ...input, claims: { [name]: 'yes' } })
      expect(await verifyAccessToken(keyring, token, ISSUER, NOW)).toMatchObject({
        kind: 'accepted',
        claims: { [name]: 'yes' },
      })
    },
  )

  test('once a key is gone, so are its tokens', async () => {
    const other = createKeyring()
    expect(await verifyAccessToken(other.keyring, await issueAccessToken(keyring, NOW, input), ISSUER, NOW)).toEqual({
      kind: 'refused',
      reason: 'kid',
    })
  })
})
