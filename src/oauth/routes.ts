import { Type } from 'typebox'
import type { Config } from '../config/config.ts'
import { documentEndpoint } from '../http/replies/documents.ts'
import { type Endpoint, endpoint } from '../http/requests/endpoint.ts'
import { etagOf } from '../keys/keyring.ts'
import { AUTHORIZATION_SERVER, authorizationServerMetadata, KEY_SET, openidMetadata } from './metadata.ts'

const Metadata = Type.Object({ issuer: Type.String(), jwks_uri: Type.String() })
const OpenidMetadata = Type.Object({ ...Metadata.properties, subject_types_supported: Type.Array(Type.String()) })
const About = Type.Object({
  name: Type.Literal('Claviger'),
  about: Type.String(),
  issuer: Type.String(),
  metadata: Type.String({ description: 'RFC 8414' }),
  jwks_uri: Type.String(),
  docs: Type.Optional(Type.String({ description: 'This API, as a page' })),
  openapi: Type.Optional(Type.String()),
})

/** What this server is, for programs and for people. */
export function metadataEndpoints({ ISSUER, DOCS }: Pick<Config, 'ISSUER' | 'DOCS'>) {
  return { authorizationServer: authorizationServer(ISSUER), openid: openid(ISSUER), about: about(ISSUER, DOCS) }
}

function authorizationServer(issuer: string): Endpoint {
  const words = { summary: 'Authorization server metadata (RFC 8414)', type: 'application/json', schema: Metadata }
  return documentEndpoint(words, constant(authorizationServerMetadata(issuer)))
}

function openid(issuer: string): Endpoint {
  const summary = 'The same where OpenID Connect libraries look for it'
  const words = { summary, type: 'application/json', schema: OpenidMetadata }
  return documentEndpoint(words, constant(openidMetadata(issuer)))
}

function constant(content: object) {
  const body = Buffer.from(JSON.stringify(content))
  const document = { body, etag: etagOf(body) }
  return () => document
}

/**
 * What somebody reads who opens the address in a browser. Every URL is made from the issuer, never from `Host`, and no version
 * is told: it would say which faults may be there.
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
  return endpoint({ response: { 200: About } }, async () => reply)
}
