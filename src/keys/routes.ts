import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import { type TSchema, Type } from 'typebox'
import type { Config } from '../config/config.ts'
import type { PublicDocument } from '../http/replies/documents.ts'
import {
  AUTHORIZATION_SERVER,
  authorizationServerMetadata,
  KEY_SET,
  OPENID,
  openidMetadata,
} from '../oauth/metadata.ts'
import { etagOf, type Keyring } from './keyring.ts'

/**
 * Five minutes fresh, then for one more the old copy while a new one is fetched. A cache that cannot reach us may go on
 * for a day: keys are published that long before they sign and after they have, so no planned rotation suffers.
 */
const CACHING = 'public, max-age=300, stale-while-revalidate=60, stale-if-error=86400'

const KeySet = Type.Object({
  keys: Type.Array(
    Type.Object({
      kty: Type.Literal('RSA'),
      use: Type.Literal('sig'),
      alg: Type.Literal('RS256'),
      kid: Type.String({ description: 'RFC 7638 thumbprint' }),
      n: Type.String(),
      e: Type.String(),
    }),
  ),
})
const Metadata = Type.Object({ issuer: Type.String(), jwks_uri: Type.String() })
const OpenidMetadata = Type.Object({ ...Metadata.properties, subject_types_supported: Type.Array(Type.String()) })

/** With what the API description says of it. */
interface DescribedDocument extends PublicDocument {
  summary: string
  schema: TSchema
}

/** The public keys and the metadata that leads to them, from memory: they are served while the database is down. */
export function publicDocuments({ config, keyring }: { config: Config; keyring: Keyring }): DescribedDocument[] {
  return [
    {
      path: KEY_SET,
      summary: 'Public keys that verify access tokens',
      schema: KeySet,
      read: keySetReader(keyring),
    },
    {
      path: AUTHORIZATION_SERVER,
      summary: 'Authorization server metadata (RFC 8414)',
      schema: Metadata,
      read: prebuilt(authorizationServerMetadata(config.ISSUER)),
    },
    {
      path: OPENID,
      summary: 'The same where OpenID Connect libraries look for it',
      schema: OpenidMetadata,
      read: prebuilt(openidMetadata(config.ISSUER)),
    },
  ]
}

/** The documents as routes. `answerDocuments` may be quicker for requests that have nothing unusual. */
export const keyRoutes =
  (deps: { config: Config; keyring: Keyring }): FastifyPluginAsyncTypebox =>
  async (app) => {
    for (const { path, summary, schema, read } of publicDocuments(deps)) {
      const description: FastifySchema & { summary: string } = {
        summary,
        // For the description only: a Buffer is sent as it is.
        response: { 200: { description: 'OK', content: { [typeOf(read())]: { schema } } } },
      }
      app.get(path, {
        config: { access: 'public', cors: 'public', limit: { none: 'from memory' } },
        schema: description,
        handler: (request, reply) => sendDocument(request, reply, read()),
      })
    }
  }

type Document = ReturnType<PublicDocument['read']>

function sendDocument(request: FastifyRequest, reply: FastifyReply, { body, headers }: Document): FastifyReply {
  reply.headers(headers)
  if (!matches(request.headers['if-none-match'], headers.etag ?? '')) return reply.send(body)
  return reply.removeHeader('content-type').code(304).send()
}

/** RFC 9110 §13.1.2: a list, compared weakly, or `*`. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.match(/"[^"]*"/g)?.some((tag) => tag === etag) ?? false
}

/** One object per state of the key set. */
function keySetReader(keyring: Keyring): () => Document {
  let from = keyring.jwks()
  let document = describe(from, 'application/jwk-set+json')
  return () => {
    const now = keyring.jwks()
    if (now !== from) [from, document] = [now, describe(now, 'application/jwk-set+json')]
    return document
  }
}

function prebuilt(content: object): () => Document {
  const body = Buffer.from(JSON.stringify(content))
  const document = describe({ body, etag: etagOf(body) }, 'application/json')
  return () => document
}

function describe({ body, etag }: { body: Buffer; etag: string }, type: string): Document {
  const headers = {
    'cache-control': CACHING,
    etag,
    'cross-origin-resource-policy': 'cross-origin',
    'content-type': type,
  }
  return { body, headers }
}

function typeOf({ headers }: Document): string {
  return headers['content-type'] ?? ''
}
