import { PROOF_ALGORITHMS } from '../proven-key.ts'
import { ALGORITHMS } from './assertion/assertion.ts'

/** Where the documents are. The issuer has no path, so RFC 8414 and OpenID Connect Discovery agree on how to find them. */
export const KEY_SET = '/.well-known/jwks.json'
export const AUTHORIZATION_SERVER = '/.well-known/oauth-authorization-server'
export const OPENID = '/.well-known/openid-configuration'
/** Where OAuth libraries send their requests. */
export const TOKEN = '/oauth/token'
export const INTROSPECTION = '/oauth/introspect'
export const REVOCATION = '/oauth/revoke'

/**
 * How services prove themselves, wherever they do. A workload’s token of another issuer comes as an assertion too, which
 * the registry of names (RFC 8414 §7) has no word of its own for.
 */
const SERVICE_METHODS = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']
/** Native and browser clients name themselves, and have nothing to prove it by. */
const METHODS = [...SERVICE_METHODS, 'none']

/**
 * Authorization server metadata (RFC 8414 §2), made from the settings alone: if it echoed the `Host` header, an
 * attacker could poison the caches that keep it. `response_types_supported` is left out because there is no
 * authorization endpoint, and empty members must be left out (§3.2).
 */
export function authorizationServerMetadata(issuer: string) {
  return {
    issuer,
    jwks_uri: issuer + KEY_SET,
    token_endpoint: issuer + TOKEN,
    grant_types_supported: ['client_credentials', 'refresh_token'],
    token_endpoint_auth_methods_supported: METHODS,
    token_endpoint_auth_signing_alg_values_supported: ALGORITHMS,
    introspection_endpoint: issuer + INTROSPECTION,
    introspection_endpoint_auth_methods_supported: SERVICE_METHODS,
    introspection_endpoint_auth_signing_alg_values_supported: ALGORITHMS,
    // RFC 9701 §7: of signed answers.
    introspection_signing_alg_values_supported: ['RS256'],
    revocation_endpoint: issuer + REVOCATION,
    revocation_endpoint_auth_methods_supported: METHODS,
    revocation_endpoint_auth_signing_alg_values_supported: ALGORITHMS,
    // RFC 9449 §5.1.
    dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
  }
}

/**
 * The same for frameworks that look for an issuer's metadata only here (ASP.NET Core, go-oidc, Nimbus). It says nothing
 * about ID tokens, since none is issued. `subject_types_supported`, which Nimbus requires, holds for access tokens.
 */
export function openidMetadata(issuer: string) {
  return { ...authorizationServerMetadata(issuer), subject_types_supported: ['public'] }
}
