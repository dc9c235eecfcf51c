import { ABSENT, AUDIENCE, type BadVector, header, type Mint } from './mint.ts'
import { proofKey } from './proof-keys.ts'
import { thumbprint } from './sign.ts'

/** 2099: so far ahead that no leeway helps. */
const LATER = 4070908800
/** 2025, an hour after the others were issued. */
const EARLIER = 1735693200

/** Well signed by the issuer, and yet not for this service, not now, or not an access token (RFC 9068 §2.2, §4). */
export function badClaims(mint: Mint): BadVector[] {
  const { issuer } = mint
  const host = new URL(issuer).host
  const claims = (
    check: string,
    why: string,
    cases: [name: string, changed: Record<string, unknown>][],
    optional?: true,
  ) =>
    cases.map(
      ([name, changed]): BadVector => ({
        name,
        token: mint.withClaims(changed),
        why,
        check,
        ...(optional && { optional }),
      }),
    )
  return [
    ...claims('issuer', 'the issuer is compared exactly, character by character (RFC 9068 §4)', [
      ['iss-of-somebody-else', { iss: 'https://attacker.example' }],
      ['iss-with-a-slash', { iss: `${issuer}/` }],
      ['iss-in-capitals', { iss: issuer.replace(host, host.toUpperCase()).replace(/^http/, 'HTTP') }],
      ['iss-that-begins-like-ours', { iss: `${issuer}.attacker.example` }],
      ['iss-that-ends-like-ours', { iss: `https://attacker.example/${issuer}` }],
      ['iss-with-a-space', { iss: `${issuer} ` }],
      ['iss-missing', { iss: ABSENT }],
      ['iss-list', { iss: [issuer] }],
      ['iss-null', { iss: null }],
    ]),
    ...claims('audience', 'the token is for another service (RFC 9068 §4, RFC 8725 §3.9)', [
      ['aud-of-another-service', { aud: 'billing' }],
      ['aud-list-without-ours', { aud: ['billing', 'shipping'] }],
      ['aud-that-begins-like-ours', { aud: `${AUDIENCE}-archive` }],
      ['aud-that-ours-begins-like', { aud: AUDIENCE.slice(0, -1) }],
      ['aud-that-holds-ours', { aud: `billing ${AUDIENCE} shipping` }],
      ['aud-in-capitals', { aud: AUDIENCE.toUpperCase() }],
      ['aud-missing', { aud: ABSENT }],
      ['aud-empty', { aud: '' }],
      ['aud-empty-list', { aud: [] }],
      ['aud-list-in-a-list', { aud: [[AUDIENCE]] }],
      ['aud-object', { aud: { [AUDIENCE]: true } }],
      ['aud-null', { aud: null }],
      ['aud-is-the-issuer', { aud: issuer }],
    ]),
    ...claims(
      'audience',
      'a list of strings (RFC 7519 §4.1.3)',
      [['aud-list-with-a-number', { aud: [AUDIENCE, 1] }]],
      true,
    ),
    ...claims('expired', 'RFC 7519 §4.1.4', [
      ['expired', { exp: EARLIER }],
      ['expired-in-1970', { exp: 1 }],
      ['exp-zero', { exp: 0 }],
      ['exp-negative', { exp: -4102444800 }],
    ]),
    ...claims('not_before', 'RFC 7519 §4.1.5', [['nbf-in-the-future', { nbf: LATER }]]),
    ...claims(
      'issued_at',
      'issued in the future: one of the clocks is wrong by decades',
      [['iat-in-the-future', { iat: LATER }]],
      true,
    ),
    ...claims('claim', 'a time is a number (RFC 7519 §2), and an access token has an end (RFC 9068 §2.2)', [
      ['exp-missing', { exp: ABSENT }],
      ['exp-null', { exp: null }],
      ['exp-text', { exp: '4102444800' }],
      ['exp-date', { exp: '2100-01-01T00:00:00Z' }],
      ['exp-true', { exp: true }],
      ['exp-list', { exp: [4102444800] }],
      ['nbf-text', { nbf: '1735689600' }],
    ]),
    {
      name: 'exp-infinite',
      token: mint.raw(JSON.stringify(header), JSON.stringify(mint.claims).replace(/"exp":\d+/, '"exp":1e400')),
      why: 'too large for a double: some readers make infinity of it',
      check: 'claim',
      optional: true,
    },
    ...claims('claim', 'required in an access token (RFC 9068 §2.2)', [
      ['sub-missing', { sub: ABSENT }],
      ['client-id-missing', { client_id: ABSENT }],
      ['jti-missing', { jti: ABSENT }],
      ['iat-missing', { iat: ABSENT }],
      ['iat-text', { iat: '1735689600' }],
      ['sub-number', { sub: 42 }],
      ['sub-null', { sub: null }],
    ]),
    ...claims(
      'claim',
      'a subject, a client or a token of no name',
      [
        ['sub-empty', { sub: '' }],
        ['client-id-empty', { client_id: '' }],
        ['client-id-list', { client_id: ['web'] }],
        ['jti-number', { jti: 1 }],
      ],
      true,
    ),
    ...claims('dpop', 'bound to a key (RFC 9449 §6.1), and no proof is there: §7.2', [
      ['bound-to-a-key', { cnf: { jkt: thumbprint(proofKey) } }],
    ]),
    ...claims(
      'claim',
      'bound to something that is not understood (RFC 7800 §3.1), so nothing can prove it',
      [
        ['bound-to-a-certificate', { cnf: { 'x5t#S256': thumbprint(proofKey) } }],
        ['bound-to-a-key-and-more', { cnf: { jkt: thumbprint(proofKey), 'x5t#S256': thumbprint(proofKey) } }],
        ['bound-to-nothing', { cnf: {} }],
        ['bound-to-null', { cnf: null }],
        ['bound-to-a-text', { cnf: thumbprint(proofKey) }],
        ['bound-to-no-thumbprint', { cnf: { jkt: '' } }],
      ],
      true,
    ),
    ...claims(
      'claim',
      'code that relies on its type would read something else out of it',
      [
        ['scope-list', { scope: ['account', 'orders:read'] }],
        ['roles-text', { roles: 'administrator' }],
        ['roles-object', { roles: { admin: true } }],
        ['roles-of-numbers', { roles: [1] }],
        ['sid-number', { sid: 7 }],
        ['auth-time-text', { auth_time: '1735689600' }],
        ['amr-text', { amr: 'pwd' }],
      ],
      true,
    ),
  ]
}
