import { signingKey, strangerCurveKey, strangerKey } from './keys.ts'
import { type BadVector, encode, header, type Mint, retiringKid } from './mint.ts'
import {
  byIssuer,
  byRetiringKey,
  byStranger,
  es256,
  hmac,
  nobody,
  ps256,
  publicForms,
  published,
  rs1,
  rs384,
  rs512,
  thumbprint,
} from './sign.ts'

/** Wrong algorithms, wrong keys, keys that the token itself brings, and signatures that are not of this token. */
export function badSignatures(mint: Mint): BadVector[] {
  const usual = mint.withHeader({})
  const [head = '', payload = '', signature = ''] = usual.split('.')
  const strangersJwk = published(strangerKey)
  const { d: _secret, ...strangersCurveJwk } = strangerCurveKey
  const under = (alg: unknown) => ({ alg })
  const forged = encode(JSON.stringify({ ...mint.claims, sub: 'somebody-else', roles: ['admin'] }))
  const bytes = Buffer.from(signature, 'base64url')
  const flipped = Buffer.from(bytes)
  flipped[100] = (flipped[100] ?? 0) ^ 1
  const signed = (octets: Buffer): string => `${head}.${payload}.${octets.toString('base64url')}`

  const algorithms: BadVector[] = [
    ...['none', 'None', 'NONE', 'nOnE'].map(
      (alg): BadVector => ({
        name: `alg-${alg}`,
        token: mint.withHeader(under(alg), nobody),
        why: 'not signed at all (RFC 8725 §3.1, §3.2)',
        check: 'alg',
      }),
    ),
    {
      name: 'alg-none-with-a-signature',
      token: mint.withHeader(under('none')),
      why: '"none" stays "none" although a signature is there',
      check: 'alg',
    },
    ...(
      [
        ['spki-pem', publicForms.spkiPem],
        ['spki-pem-trimmed', publicForms.spkiPem.trim()],
        ['pkcs1-pem', publicForms.pkcs1Pem],
        ['spki-der', publicForms.spkiDer],
        ['jwk', publicForms.jwk],
        ['modulus', publicForms.modulus],
      ] as const
    ).map(
      ([form, secret]): BadVector => ({
        name: `hs256-with-the-public-key-as-${form}`,
        token: mint.withHeader(under('HS256'), hmac(secret)),
        why: 'the public key taken for a shared secret (RFC 8725 §2.1)',
        check: 'alg',
      }),
    ),
    {
      name: 'hs512-with-the-public-key',
      token: mint.withHeader(under('HS512'), hmac(publicForms.spkiPem, 'sha512')),
      why: 'the same with another hash',
      check: 'alg',
    },
    {
      name: 'hs256-with-an-empty-secret',
      token: mint.withHeader(under('HS256'), hmac('')),
      why: 'a secret that everybody knows',
      check: 'alg',
    },
    ...(
      [
        ['RS384', rs384],
        ['RS512', rs512],
        ['RS1', rs1],
        ['PS256', ps256],
      ] as const
    ).map(
      ([alg, signer]): BadVector => ({
        name: alg.toLowerCase(),
        token: mint.withHeader(under(alg), signer),
        why: 'the right key with an algorithm that the key is not published for (RFC 8725 §3.1)',
        check: 'alg',
      }),
    ),
    {
      name: 'es256',
      token: mint.withHeader(under('ES256'), es256),
      why: 'another kind of key',
      check: 'alg',
    },
    {
      name: 'alg-in-small-letters',
      token: mint.withHeader(under('rs256')),
      why: '"alg" is case-sensitive (RFC 7515 §4.1.1)',
      check: 'alg',
    },
    { name: 'alg-missing', token: mint.withHeader(under(undefined)), why: 'RFC 7515 §4.1.1', check: 'alg' },
    { name: 'alg-null', token: mint.withHeader(under(null)), why: 'RFC 7515 §4.1.1', check: 'alg' },
    { name: 'alg-list', token: mint.withHeader(under(['RS256'])), why: 'RFC 7515 §4.1.1', check: 'alg' },
  ]

  const keys: BadVector[] = [
    {
      name: 'signed-by-a-stranger-under-our-kid',
      token: mint.withHeader({}, byStranger),
      why: 'the kid is public and proves nothing',
      check: 'signature',
    },
    {
      name: 'signed-by-the-other-published-key-under-this-kid',
      token: mint.withHeader({}, byRetiringKey),
      why: 'the key that the kid names did not sign it',
      check: 'signature',
    },
    {
      name: 'signed-by-a-stranger-under-its-own-kid',
      token: mint.withHeader({ kid: thumbprint(strangerKey) }, byStranger),
      why: 'a key that is not published',
      check: 'kid',
    },
    {
      name: 'signed-by-a-stranger-without-kid',
      token: mint.withHeader({ kid: undefined }, byStranger),
      why: 'no published key verifies it',
      check: 'kid',
    },
    ...['__proto__', 'constructor', '../../../../dev/null', "x' UNION SELECT 'secret", '', '*'].map(
      (kid): BadVector => ({
        name: `kid-${kid === '' ? 'empty' : kid.replace(/[^a-zA-Z]+/g, '-').replace(/^-|-$/g, '') || 'star'}`,
        token: mint.withHeader({ kid }, byStranger),
        why: 'a kid is looked up among the published keys and nowhere else (RFC 8725 §3.10)',
        check: 'kid',
      }),
    ),
    {
      name: 'kid-number',
      token: mint.withHeader({ kid: 0 }, byStranger),
      why: 'a kid is a string (RFC 7515 §4.1.4), and no index',
      check: 'kid',
    },
    {
      name: 'kid-missing',
      token: mint.withHeader({ kid: undefined }),
      why: 'well signed, but which key is meant? Claviger always says',
      check: 'kid',
      optional: true,
    },
    {
      name: 'kid-unknown-on-a-good-signature',
      token: mint.withHeader({ kid: 'unknown' }),
      why: 'trying every key would make kid meaningless',
      check: 'kid',
      optional: true,
    },
    {
      name: 'key-in-the-header',
      token: mint.withHeader({ jwk: strangersJwk }, byStranger),
      why: 'a key that the token brings itself (RFC 8725 §3.10)',
      check: 'header',
    },
    {
      name: 'key-in-the-header-with-its-kid',
      token: mint.withHeader({ kid: strangersJwk.kid, jwk: strangersJwk }, byStranger),
      why: 'the same with a kid that fits the key',
      check: 'header',
    },
    {
      name: 'curve-key-in-the-header',
      token: mint.withHeader({ alg: 'ES256', jwk: strangersCurveJwk }, es256),
      why: 'the same with another kind of key',
      check: 'header',
    },
    {
      name: 'jku',
      token: mint.withHeader({ jku: 'https://attacker.example/jwks.json' }, byStranger),
      why: 'an address of keys that the token names itself; nothing may be fetched from there (RFC 8725 §3.10)',
      check: 'header',
    },
    {
      name: 'x5u',
      token: mint.withHeader({ x5u: 'https://attacker.example/cert.pem' }, byStranger),
      why: 'the same for a certificate',
      check: 'header',
    },
    {
      name: 'x5c',
      token: mint.withHeader({ x5c: [publicForms.spkiDer.toString('base64')] }, byStranger),
      why: 'a certificate that the token brings itself',
      check: 'header',
    },
    {
      name: 'jku-on-a-good-signature',
      token: mint.withHeader({ jku: `${mint.issuer}/.well-known/jwks.json` }),
      why: 'well signed, but Claviger never says where its keys are',
      check: 'header',
      optional: true,
    },
  ]

  const signatures: BadVector[] = [
    {
      name: 'payload-changed',
      token: `${head}.${forged}.${signature}`,
      why: 'the signature is of another payload',
      check: 'signature',
    },
    {
      name: 'header-changed',
      token: `${encode(JSON.stringify({ ...header, extra: 1 }))}.${payload}.${signature}`,
      why: 'the signature is of another header',
      check: 'signature',
    },
    {
      name: 'kid-changed',
      token: `${encode(JSON.stringify({ ...header, kid: retiringKid }))}.${payload}.${signature}`,
      why: 'another published key than the one that signed',
      check: 'signature',
    },
    { name: 'signature-bit-flipped', token: signed(flipped), why: 'one bit of 2048', check: 'signature' },
    { name: 'signature-cut', token: signed(bytes.subarray(0, 255)), why: 'a byte is missing', check: 'signature' },
    {
      name: 'signature-longer',
      token: signed(Buffer.concat([bytes, Buffer.from([0])])),
      why: 'a byte too many (RFC 8017 §8.2.2)',
      check: 'signature',
    },
    {
      name: 'signature-with-a-leading-zero',
      token: signed(Buffer.concat([Buffer.from([0]), bytes])),
      why: 'the same number, but not the same signature (RFC 8017 §8.2.2)',
      check: 'signature',
    },
    { name: 'signature-of-zeros', token: signed(Buffer.alloc(256)), why: 'no signature', check: 'signature' },
    {
      name: 'signature-one',
      token: signed(Buffer.concat([Buffer.alloc(255), Buffer.from([1])])),
      why: 'no signature',
      check: 'signature',
    },
    {
      name: 'signature-is-the-modulus',
      token: signed(Buffer.from(signingKey.n, 'base64url')),
      why: 'not below the modulus (RFC 8017 §5.2.2)',
      check: 'signature',
    },
    { name: 'signature-empty', token: `${head}.${payload}.`, why: 'not signed', check: 'signature' },
    {
      name: 'signature-of-the-payload-alone',
      token: signed(byIssuer(payload)),
      why: 'the header is signed too (RFC 7515 §5.1)',
      check: 'signature',
    },
  ]
  return [...algorithms, ...keys, ...signatures]
}
