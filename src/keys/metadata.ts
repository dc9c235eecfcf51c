/** Where each document is, as a path of this server. Several where the issuer has a path. */
export interface DocumentPaths {
  keySet: string[]
  /** RFC 8414. */
  authorizationServer: string[]
  /** OpenID Connect Discovery 1.0 §4. */
  openid: string[]
}

const KEY_SET = '/.well-known/jwks.json'
const AUTHORIZATION_SERVER = '/.well-known/oauth-authorization-server'
const OPENID = '/.well-known/openid-configuration'

/**
 * RFC 8414 §3.1 inserts the well-known part before the issuer's path, OpenID Connect appends it, and §5 of the former
 * has clients try both. A proxy may also strip the path on the way here, so each is served with it and without.
 */
export function documentPaths(issuer: string): DocumentPaths {
  const path = new URL(issuer).pathname.replace(/\/$/, '')
  return {
    keySet: distinct(KEY_SET, path + KEY_SET),
    authorizationServer: distinct(AUTHORIZATION_SERVER, AUTHORIZATION_SERVER + path),
    openid: distinct(OPENID, path + OPENID, OPENID + path),
  }
}

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

function distinct(...paths: string[]): string[] {
  return [...new Set(paths)]
}
