/** Where the documents are. The issuer has no path, so RFC 8414 and OpenID Connect Discovery agree on how to find them. */
export const KEY_SET = '/.well-known/jwks.json'
export const AUTHORIZATION_SERVER = '/.well-known/oauth-authorization-server'
export const OPENID = '/.well-known/openid-configuration'

/**
 * Authorization server metadata (RFC 8414 §2), from the settings alone: a `Host` header must never get into a document
 * that caches keep. Endpoints appear with the features that need them. Until then there is none to name:
 * `response_types_supported` and `grant_types_supported` would be empty, and empty members must be left out (§3.2).
 */
export function authorizationServerMetadata(issuer: string) {
  return { issuer, jwks_uri: issuer + KEY_SET }
}

/**
 * The same for frameworks that look for a token's issuer here only (ASP.NET Core, go-oidc, Nimbus). No ID token is
 * issued, so nothing is said about any; `subject_types_supported`, which Nimbus insists on, is true of access tokens.
 */
export function openidMetadata(issuer: string) {
  return { ...authorizationServerMetadata(issuer), subject_types_supported: ['public'] }
}
