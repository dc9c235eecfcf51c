import { strangerCurveKey, strangerKey } from './keys.ts'
import { ABSENT, encode, type Mint } from './mint.ts'
import { proofKey, proofKeyEd25519 } from './proof-keys.ts'
import { type BadProofVector, type Client, createClient, METHOD, NOW, publicPart, TARGET } from './prover.ts'
import { byStranger, ecdsa, es256, hmac, nobody, rs384 } from './sign.ts'

type Json = Record<string, unknown>

/** RFC 9449 §4.3, and what an attacker would try who has a token, and proofs that were made for something else. */
export function badProofs(mint: Mint, client: Client): BadProofVector[] {
  const { token, jwk, prove, raw } = client
  const usual = prove()
  const [head = '', payload = '', signature = ''] = usual.split('.')
  const bad = (name: string, why: string, proof: string, optional?: true): BadProofVector => ({
    name,
    token,
    proof,
    why,
    ...(optional && { optional }),
  })
  const claims = (why: string, cases: [string, Json][], optional?: true): BadProofVector[] =>
    cases.map(([name, changed]) => bad(name, why, prove(changed), optional))
  const headers = (why: string, cases: [string, Json][], optional?: true): BadProofVector[] =>
    cases.map(([name, changed]) => bad(name, why, prove({}, changed), optional))
  const keys = (why: string, cases: [string, Json][], optional?: true): BadProofVector[] =>
    headers(
      why,
      cases.map(([name, changed]) => [name, { jwk: { ...jwk, ...changed } }]),
      optional,
    )
  const headText = JSON.stringify(client.header)
  const claimsText = JSON.stringify(client.claims)
  const stranger = publicPart(strangerCurveKey)
  const ofStranger = createClient(mint, 'ES256', strangerCurveKey, es256)

  return [
    bad('empty', 'no proof', ''),
    bad('two-proofs', 'one header, and one proof in it (RFC 9449 §4.3)', `${usual}, ${prove({ jti: 'another' })}`),
    bad('not-compact', 'a compact JWS', JSON.stringify({ protected: head, payload, signature })),
    bad('signature-empty', 'not signed', `${head}.${payload}.`),
    bad('signature-padded', 'base64url has no padding here (RFC 7515 §2)', `${usual}==`),
    bad('very-long', 'well signed, but 8 KiB', prove({ note: 'a'.repeat(6000) }), true),
    bad(
      'payload-in-another-spelling',
      'base64url has one spelling (RFC 4648 §3.5)',
      respell(raw, headText, claimsText),
      true,
    ),
    ...headers('not signed by the key', [['alg-missing', { alg: ABSENT }]]),
    ...['none', 'None'].map((alg) => bad(`alg-${alg}`, 'not signed (RFC 9449 §4.3)', prove({}, { alg }, nobody))),
    bad(
      'alg-hs256-with-the-public-key',
      'the public key as a shared secret',
      prove({}, { alg: 'HS256' }, hmac(JSON.stringify(jwk))),
    ),
    bad(
      'alg-hs256-with-a-key-that-it-brings',
      'symmetric: anybody can make one',
      prove({}, { alg: 'HS256', jwk: { kty: 'oct', k: encode('secret') } }, hmac('secret')),
    ),
    bad('alg-of-another-curve', 'the algorithm does not fit the key (RFC 7518 §3.4)', prove({}, { alg: 'ES384' })),
    bad(
      'alg-rs384',
      'an algorithm that is not taken',
      prove({}, { alg: 'RS384', jwk: publicPart(strangerKey) }, rs384),
    ),
    ...headers('another kind of JWT must not pass for a proof (RFC 9449 §4.3)', [
      ['typ-missing', { typ: ABSENT }],
      ['typ-jwt', { typ: 'JWT' }],
      ['typ-access-token', { typ: 'at+jwt' }],
      ['typ-list', { typ: ['dpop+jwt'] }],
    ]),
    ...headers('the media type in another spelling', [['typ-in-capitals', { typ: 'DPOP+JWT' }]], true),
    ...headers('asks for something to be understood (RFC 7515 §4.1.11)', [['crit', { crit: ['exp'], exp: 1 }]]),
    ...headers(
      'no place for it here',
      [
        ['jku', { jku: 'https://attacker.example/keys' }],
        ['x5c', { x5c: ['AA'] }],
        ['b64', { b64: true }],
        ['unknown-parameter', { note: 1 }],
      ],
      true,
    ),
    ...headers('brings no key', [
      ['jwk-missing', { jwk: ABSENT }],
      ['jwk-null', { jwk: null }],
      ['jwk-text', { jwk: JSON.stringify(jwk) }],
      ['jwk-list', { jwk: [jwk] }],
    ]),
    ...keys('a private key (RFC 9449 §4.3)', [['jwk-private', { d: proofKey.d }]]),
    ...keys(
      'a member of private keys, empty',
      [
        ['jwk-private-null', { d: null }],
        ['jwk-with-k', { k: 'AA' }],
      ],
      true,
    ),
    ...keys('no key for this algorithm', [
      ['jwk-without-x', { x: ABSENT }],
      ['jwk-without-y', { y: ABSENT }],
      ['jwk-of-another-kind', { kty: 'RSA' }],
      ['jwk-on-another-curve', { crv: 'P-384' }],
      ['jwk-off-its-curve', { x: jwk.y, y: jwk.x }],
    ]),
    ...keys('another spelling of the key', [['jwk-x-padded', { x: `${jwk.x}=` }]], true),
    ...keys(
      'a key for something else',
      [
        ['jwk-for-encryption', { use: 'enc' }],
        ['jwk-for-another-algorithm', { alg: 'ES384' }],
        ['jwk-to-sign', { key_ops: ['sign'] }],
      ],
      true,
    ),
    bad(
      'jwk-ed448-as-ed25519',
      'another curve',
      prove({}, { alg: 'EdDSA', jwk: { ...publicPart(proofKeyEd25519), crv: 'Ed448' } }),
    ),
    bad(
      'rsa-with-an-exponent-of-one',
      'anybody can sign with it',
      prove({}, { alg: 'RS256', jwk: { ...publicPart(strangerKey), e: 'AQ' } }, byStranger),
    ),
    bad(
      'by-another-key',
      'its own key, but not that of the token (RFC 9449 §7.1)',
      prove({}, { jwk: stranger }, es256),
    ),
    bad('signed-by-another-key', 'the key in it did not sign it', prove({}, {}, es256)),
    bad(
      'changed-after-it-was-signed',
      'other claims',
      `${head}.${encode(claimsText.replace(METHOD, 'PUT'))}.${signature}`,
    ),
    {
      ...bad('for-the-token-of-somebody-else', 'the other key proves nothing of this token', ofStranger.prove()),
      token,
    },
    ...claims('for another method', [
      ['htm-get', { htm: 'GET' }],
      ['htm-missing', { htm: ABSENT }],
      ['htm-list', { htm: [METHOD] }],
      ['htm-in-small-letters', { htm: METHOD.toLowerCase() }],
    ]),
    ...claims('for another URL', [
      ['htu-another-path', { htu: `${TARGET}/1` }],
      ['htu-another-host', { htu: TARGET.replace('orders', 'billing') }],
      ['htu-host-that-begins-like-ours', { htu: TARGET.replace('.example', '.example.attacker.example') }],
      ['htu-another-port', { htu: TARGET.replace('.example', '.example:8443') }],
      ['htu-http', { htu: TARGET.replace('https', 'http') }],
      ['htu-path-in-capitals', { htu: TARGET.replace('items', 'ITEMS') }],
      ['htu-missing', { htu: ABSENT }],
      ['htu-path-alone', { htu: '/items' }],
      ['htu-list', { htu: [TARGET] }],
    ]),
    ...claims('a user in the URL', [['htu-with-a-user', { htu: TARGET.replace('//', '//a:b@') }]], true),
    ...claims('not made just now', [
      ['iat-an-hour-ago', { iat: NOW - 3600 }],
      ['iat-in-an-hour', { iat: NOW + 3600 }],
      ['iat-missing', { iat: ABSENT }],
      ['iat-text', { iat: String(NOW) }],
    ]),
    bad('iat-infinite', 'no time', raw(headText, claimsText.replace(/"iat":\d+/, '"iat":1e400'))),
    ...claims('of another token, or of none (RFC 9449 §4.3)', [
      ['ath-missing', { ath: ABSENT }],
      ['ath-of-another-token', { ath: ofStranger.claims.ath }],
      ['ath-empty', { ath: '' }],
    ]),
    ...claims('nothing tells it from a replay', [
      ['jti-missing', { jti: ABSENT }],
      ['jti-number', { jti: 1 }],
    ]),
    ...claims(
      'too little, or more than one would remember',
      [
        ['jti-empty', { jti: '' }],
        ['jti-very-long', { jti: 'a'.repeat(257) }],
      ],
      true,
    ),
    ...claims('a nonce is a text (RFC 9449 §4.2)', [['nonce-number', { nonce: 1 }]], true),
    bad('payload-list', 'RFC 7519 §7.2', raw(headText, `[${claimsText}]`)),
    bad('payload-not-json', 'RFC 7519 §7.2', raw(headText, 'htm=POST')),
    bad('claim-twice', 'two readers may see two proofs', raw(headText, `{"htm":"GET",${claimsText.slice(1)}`), true),
    bad('header-name-twice', 'the same in the header', raw(`{"alg":"none",${headText.slice(1)}`, claimsText), true),
    bad(
      'key-member-twice',
      'the same in the key',
      raw(headText.replace('"jwk":{', `"jwk":{"x":"${stranger.x}",`), claimsText),
      true,
    ),
    {
      ...bad('for-an-unbound-token', 'the token is bound to no key (RFC 9449 §7.1)', ''),
      token: mint.withHeader({}),
      proof: createUnbound(mint),
    },
  ]
}

/** A good proof for a token that is bound to nothing. */
function createUnbound(mint: Mint): string {
  const unbound: Mint = { ...mint, withClaims: () => mint.withHeader({}) }
  return createClient(unbound, 'ES256', proofKey, ecdsa(proofKey)).prove()
}

/** Well signed over a payload whose last character has a bit set that means nothing. */
function respell(raw: Client['raw'], head: string, payload: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  let text = payload
  while (Buffer.byteLength(text) % 3 === 0) text += ' '
  let proof = ''
  raw(head, text, (input) => {
    const other = input.slice(0, -1) + alphabet[alphabet.indexOf(input.slice(-1)) + 1]
    proof = `${other}.${ecdsa(proofKey)(other).toString('base64url')}`
    return Buffer.alloc(0)
  })
  return proof
}
