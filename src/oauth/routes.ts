import { Type } from 'typebox'
import type { Config } from '../config/config.ts'
import { documentEndpoint } from '../http/replies/documents.ts'
import { type Endpoint, endpoint } from '../http/requests/endpoint.ts'
import { etagOf } from '../keys/keyring.ts'
import { introspectionEndpoint } from './introspection/routes.ts'
import { AUTHORIZATION_SERVER, authorizationServerMetadata, KEY_SET, openidMetadata } from './metadata.ts'
import { revocationEndpoint } from './revocation/routes.ts'
import { tokenEndpoint } from './token/routes.ts'

const Names = Type.Array(Type.String())
const Metadata = Type.Object({
  issuer: Type.String(),
  jwks_uri: Type.String(),
  token_endpoint: Type.String(),
  grant_types_supported: Names,
  token_endpoint_auth_methods_supported: Names,
  token_endpoint_auth_signing_alg_values_supported: Names,
  introspection_endpoint: Type.String(),
  introspection_endpoint_auth_methods_supported: Names,
  introspection_endpoint_auth_signing_alg_values_supported: Names,
  introspection_signing_alg_values_supported: Names,
  revocation_endpoint: Type.String(),
  revocation_endpoint_auth_methods_supported: Names,
  revocation_endpoint_auth_signing_alg_values_supported: Names,
  dpop_signing_alg_values_supported: Names,
})
const OpenidMetadata = Type.Object({ ...Metadata.properties, subject_types_supported: Names })
const About = Type.Object({
  name: Type.Literal('Claviger'),
  about: Type.String(),
  issuer: Type.String(),
  metadata: Type.String({ description: 'RFC 8414' }),
  jwks_uri: Type.String(),
  docs: Type.Optional(Type.String({ description: 'This API, as a page' })),
  openapi: Type.Optional(Type.String()),
})

type Deps = Parameters<typeof tokenEndpoint>[0] &
  Parameters<typeof introspectionEndpoint>[0] &
  Parameters<typeof revocationEndpoint>[0]
type Parts = Parameters<typeof tokenEndpoint>[1] &
  Parameters<typeof introspectionEndpoint>[1] &
  Parameters<typeof revocationEndpoint>[1]

/** What OAuth libraries call. */
export function oauthEndpoints(deps: Deps, parts: Parts) {
  return {
    token: tokenEndpoint(deps, parts),
    introspect: introspectionEndpoint(deps, parts),
    revoke: revocationEndpoint(deps, parts),
  }
}

/** What this server is, for programs and for people. */
export function metadataEndpoints({ ISSUER, DOCS }: Pick<Config, 'ISSUER' | 'DOCS'>) {
  return { authorizationServer: authorizationServer(ISSUER), openid: openid(ISSUER), about: about(ISSUER, DOCS) }
}

function authorizationServer(issuer: string): Endpoint {
  const words = { summary: 'Server metadata', description: 'Authorization server metadata (RFC 8414).', holds: HOLDS }
  const content = constant(authorizationServerMetadata(issuer))
  return documentEndpoint({ ...words, type: 'application/json', schema: Metadata }, content)
}

function openid(issuer: string): Endpoint {
  const words = {
    summary: 'Server metadata, at the OpenID address',
    description: 'The same where OpenID Connect libraries look for it.',
    holds: HOLDS,
  }
  return documentEndpoint(
    { ...words, type: 'application/json', schema: OpenidMetadata },
    constant(openidMetadata(issuer)),
  )
}

const HOLDS = 'What this server offers'

function constant(content: object) {
  const body = Buffer.from(JSON.stringify(content))
  const document = { body, etag: etagOf(body) }
  return () => document
}

/**
 * What somebody sees who opens the address in a browser. Every URL is made from the issuer, never from `Host`. The
 * version is not disclosed, since it would tell an attacker which vulnerabilities to try.
 */
function about(issuer: string, docs: boolean): Endpoint {
  const reply = {
    name: 'Claviger' as const,
    about: 'An auth server: it signs people in, and other services verify its tokens with its public keys.',
    issuer,
    metadata: issuer + AUTHORIZATION_SERVER,
    jwks_uri: issuer + KEY_SET,
    ...(docs ? { docs: `${issuer}/docs`, openapi: `${issuer}/openapi.json` } : {}),
  }
  return endpoint(
    {
      tags: ['Description'],
      summary: 'What this is',
      description: 'And where its metadata, its keys and, where they are on, this description and its page are.',
      response: { 200: { ...About, description: 'Name, issuer and addresses' } },
    },
    async () => reply,
  )
}
