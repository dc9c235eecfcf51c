/** Where the documents are. The issuer has no path, so RFC 8414 and OpenID Connect Discovery agree on how to find them. */
export const KEY_SET = '/.well-known/jwks.json'
export const AUTHORIZATION_SERVER = '/.well-known/oauth-authorization-server'
export const OPENID = '/.well-known/openid-configuration'

/**
 * Authorization server metadata (RFC 8414 §2), made from the settings alone: if it echoed the `Host` header, an
 * attacker could poison the caches that keep it. There is no OAuth endpoint to name, and `response_types_supported` and
 * `grant_types_supported` are left out because empty members must be (§3.2).
 */
export function authorizationServerMetadata(issuer: string) {
  return { issuer, jwks_uri: issuer + KEY_SET }
}

/**
 * The same for frameworks that look for an issuer's metadata only here (ASP.NET Core, go-oidc, Nimbus). It says nothing
 * about ID tokens, since none is issued. `subject_types_supported`, which Nimbus requires, holds for access tokens.
 */
export function openidMetadata(issuer: string) {
  return { ...authorizationServerMetadata(issuer), subject_types_supported: ['public'] }
}
