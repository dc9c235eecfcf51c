import { type BadVector, encode, header, type Mint } from './mint.ts'

/** What is no compact JWS of a JSON object, or says in its header that it is something else than an access token. */
export function badShapes(mint: Mint): BadVector[] {
  const usual = mint.withHeader({})
  const [head = '', payload = '', signature = ''] = usual.split('.')
  const malformed = (name: string, token: string, why: string, optional?: true): BadVector => ({
    name,
    token,
    why,
    check: 'malformed',
    ...(optional && { optional }),
  })
  const headText = JSON.stringify(header)
  const claimsText = JSON.stringify(mint.claims)
  const body = (payloadText: string | Buffer): string => mint.raw(headText, payloadText)

  const shapes = [
    malformed('empty', '', 'nothing'),
    malformed('dots', '..', 'three empty parts'),
    malformed('two-parts', `${head}.${payload}`, 'RFC 7515 §7.1'),
    malformed('four-parts', `${usual}.${signature}`, 'RFC 7515 §7.1'),
    malformed('trailing-dot', `${usual}.`, 'RFC 7515 §7.1'),
    malformed(
      'encrypted',
      [
        encode(JSON.stringify({ alg: 'RSA-OAEP', enc: 'A256GCM', typ: 'at+jwt', kid: header.kid })),
        signature,
        'AAECAwQFBgcICQoL',
        payload,
        'AAECAwQFBgcICQoLDA0ODw',
      ].join('.'),
      'a JWE has five parts, and nobody encrypts to a verifier',
    ),
    malformed(
      'json-flattened',
      JSON.stringify({ protected: head, payload, signature }),
      'access tokens are compact (RFC 7519 §3)',
    ),
    malformed(
      'json-general',
      JSON.stringify({ payload, signatures: [{ protected: head, signature }] }),
      'access tokens are compact (RFC 7519 §3)',
    ),
    malformed('space-before', ` ${usual}`, 'no white space (RFC 7515 §5.2)'),
    malformed('newline-after', `${usual}\n`, 'no white space (RFC 7515 §5.2)'),
    malformed('newline-inside', `${head}.\n${payload}.${signature}`, 'no white space (RFC 7515 §5.2)'),
    malformed('scheme-before', `Bearer ${usual}`, 'the scheme is no part of the token'),
    malformed('signature-padded', `${usual}==`, 'base64url has no padding here (RFC 7515 §2)'),
    malformed('payload-padded', `${head}.${payload}=.${signature}`, 'base64url has no padding here (RFC 7515 §2)'),
    malformed(
      'other-base64-alphabet',
      `${head}.${payload}.${signature.replaceAll('-', '+').replaceAll('_', '/')}`,
      'the alphabet of URLs (RFC 4648 §5)',
    ),
    malformed(
      'spare-bits-of-the-signature',
      `${head}.${payload}.${nextSpelling(signature)}`,
      'another spelling of the same bytes (RFC 4648 §3.5): lists of seen tokens would miss it',
      true,
    ),
    malformed('letter-outside-ascii', `${usual.slice(0, -3)}é${usual.slice(-2)}`, 'no letter of base64url'),
    malformed(
      'very-long',
      mint.withClaims({ note: 'a'.repeat(48 * 1024) }),
      'well signed, but 64 KiB: no access token of Claviger is longer than 4 KiB',
      true,
    ),
    malformed('header-not-json', mint.raw('RS256', claimsText), 'RFC 7515 §4'),
    malformed('header-list', mint.raw(`[${headText}]`, claimsText), 'RFC 7515 §4'),
    malformed('header-null', mint.raw('null', claimsText), 'RFC 7515 §4'),
    malformed(
      'header-name-twice',
      mint.raw(`{"alg":"none",${headText.slice(1)}`, claimsText),
      'names are unique, or the last one counts (RFC 7515 §4)',
      true,
    ),
    malformed('payload-empty', body(''), 'RFC 7519 §7.2'),
    malformed('payload-not-json', body('sub=1&aud=orders'), 'RFC 7519 §7.2'),
    malformed('payload-list', body(`[${claimsText}]`), 'RFC 7519 §7.2'),
    malformed('payload-text', body('"orders"'), 'RFC 7519 §7.2'),
    malformed('payload-null', body('null'), 'RFC 7519 §7.2'),
    malformed('payload-and-more', body(`${claimsText}{}`), 'RFC 7519 §7.2'),
    malformed(
      'payload-not-utf-8',
      body(
        Buffer.concat([
          Buffer.from(`${claimsText.slice(0, -1)},"note":"`),
          Buffer.from([0xc3, 0x28]),
          Buffer.from('"}'),
        ]),
      ),
      'RFC 7519 §7.2',
      true,
    ),
    malformed('payload-with-byte-order-mark', body(`\ufeff${claimsText}`), 'RFC 8259 §8.1', true),
    malformed('exp-not-a-number', body(claimsText.replace(/"exp":\d+/, '"exp":NaN')), 'NaN is no JSON'),
    malformed(
      'claim-twice-ours-first',
      body(`${claimsText.slice(0, -1)},"aud":"billing"}`),
      'the last one counts (RFC 7519 §4), and it is not ours',
    ),
    malformed(
      'claim-twice-ours-last',
      body(`{"aud":"billing",${claimsText.slice(1)}`),
      'names are unique, or the last one counts (RFC 7519 §4): two readers may see two tokens',
      true,
    ),
    malformed(
      'claim-twice-in-another-spelling',
      body(`{"a\\u0075d":"billing",${claimsText.slice(1)}`),
      'the same with an escaped letter',
      true,
    ),
  ]

  const types = (
    [
      ['jwt', 'JWT'],
      ['missing', undefined],
      ['null', null],
      ['list', ['at+jwt']],
      ['id-token', 'id_token+jwt'],
      ['logout', 'logout+jwt'],
      ['event', 'secevent+jwt'],
      ['introspection', 'token-introspection+jwt'],
      ['proof', 'dpop+jwt'],
      ['with-a-space', 'at+jwt '],
      ['with-a-parameter', 'at+jwt;v=1'],
      ['of-another-tree', 'text/at+jwt'],
    ] as const
  ).map(
    ([name, typ]): BadVector => ({
      name: `typ-${name}`,
      token: mint.withHeader({ typ }),
      why: 'a token of another kind must not pass for an access token (RFC 9068 §4, RFC 8725 §3.11)',
      check: 'typ',
    }),
  )

  const critical = (
    [
      ['unknown', { crit: ['example.com/must'], 'example.com/must': true }],
      ['unknown-and-absent', { crit: ['example.com/must'] }],
      ['empty', { crit: [] }],
      ['text', { crit: 'exp' }],
      ['names-alg', { crit: ['alg'] }],
      ['unencoded-payload', { crit: ['b64'], b64: true }],
    ] as const
  ).map(
    ([name, changed]): BadVector => ({
      name: `crit-${name}`,
      token: mint.withHeader(changed),
      why: 'says that something must be understood which is not, or says it wrongly (RFC 7515 §4.1.11)',
      check: 'header',
      // RFC 7797 is understood by some, and `true` changes nothing.
      ...(name === 'unencoded-payload' && { optional: true as const }),
    }),
  )
  const others = (
    [
      ['b64-false', { b64: false }, 'RFC 7797 §6: only together with "crit"'],
      ['zip', { zip: 'DEF' }, 'compression is for encrypted tokens (RFC 7516 §4.1.3)'],
      ['enc', { enc: 'A256GCM' }, 'a member of encrypted tokens (RFC 7516 §4.1.2)'],
    ] as const
  ).map(
    ([name, changed, why]): BadVector => ({
      name,
      token: mint.withHeader(changed),
      why,
      check: 'header',
      optional: true,
    }),
  )
  return [...shapes, ...types, ...critical, ...others]
}

/** 342 characters are 2052 bits, and a signature has 2048: the last character has four bits to spare. Sets one of them. */
function nextSpelling(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return text.slice(0, -1) + alphabet[alphabet.indexOf(text.slice(-1)) + 1]
}
