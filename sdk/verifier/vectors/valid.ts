import { ABSENT, AUDIENCE, header, type Mint, retiringKid, type ValidVector } from './mint.ts'
import { byRetiringKey } from './sign.ts'

/** What must be accepted. */
export function validTokens(mint: Mint): ValidVector[] {
  const { claims } = mint
  const withClaims = (name: string, changed: Record<string, unknown>, optional?: true): ValidVector => ({
    name,
    token: mint.withClaims(changed),
    // Through JSON, so that what is absent is absent.
    claims: JSON.parse(JSON.stringify({ ...claims, ...changed })) as Record<string, unknown>,
    ...(optional && { optional }),
  })
  return [
    { name: 'usual', token: mint.withHeader({}), claims },
    { name: 'signed-by-the-other-published-key', token: mint.withHeader({ kid: retiringKid }, byRetiringKey), claims },
    withClaims('audience-in-a-list', { aud: ['billing', AUDIENCE, 'https://api.example'] }),
    withClaims('audience-alone-in-a-list', { aud: [AUDIENCE] }),
    withClaims('only-the-required-claims', {
      sid: ABSENT,
      scope: ABSENT,
      auth_time: ABSENT,
      amr: ABSENT,
      roles: ABSENT,
    }),
    withClaims('of-a-service', {
      sub: 'cl_reports',
      client_id: 'cl_reports',
      sid: ABSENT,
      auth_time: ABSENT,
      amr: ABSENT,
      roles: ABSENT,
    }),
    withClaims('not-before-in-the-past', { nbf: claims.iat }),
    withClaims('custom-claims', { tenant: { id: 7, name: 'Zoë’s “shop” 🛒' }, plan: null }),
    withClaims('text-that-looks-like-json', { note: '","aud":"other","exp":1,"x":"\\"{}[]:' }),
    {
      name: 'spaces-in-the-payload',
      token: mint.raw(JSON.stringify(header), JSON.stringify(claims, null, '\t')),
      claims,
    },
    {
      name: 'header-in-another-order',
      token: mint.raw(JSON.stringify({ kid: header.kid, typ: header.typ, alg: header.alg }), JSON.stringify(claims)),
      claims,
    },
    // RFC 7515 §4: what is not understood is ignored, unless `crit` names it.
    { name: 'unknown-header-parameter', token: mint.withHeader({ 'example.com/trace': 'a1b2' }), claims },
    // RFC 7515 §4.1.9: a media type; its case does not matter, and a missing "application/" is to be thought of.
    {
      name: 'typ-with-application',
      token: mint.withHeader({ typ: 'application/at+jwt' }),
      claims,
      optional: true,
    },
    { name: 'typ-in-capitals', token: mint.withHeader({ typ: 'AT+JWT' }), claims, optional: true },
    // RFC 7519 §2: NumericDate may have a fraction. Claviger sends none.
    withClaims('times-with-a-fraction', { iat: 1735689600.25, exp: 4102444799.75 }, true),
  ]
}
