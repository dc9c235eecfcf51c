import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import { type TSchema, Type } from 'typebox'
import type { Deps } from '../deps.ts'
import { etagOf } from './keyring.ts'
import { authorizationServerMetadata, documentPaths, openidMetadata } from './metadata.ts'

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

interface Document {
  body: Buffer
  /** Strong. */
  etag: string
}

/** The public keys and the metadata that leads to them, from memory: they are served while the database is down. */
export const keyRoutes =
  ({ config, keyring }: Pick<Deps, 'config' | 'keyring'>): FastifyPluginAsyncTypebox =>
  async (app) => {
    const authorizationServer = prebuilt(authorizationServerMetadata(config.ISSUER))
    const openid = prebuilt(openidMetadata(config.ISSUER))
    const paths = documentPaths(config.ISSUER)

    const serve = (at: string[], summary: string, type: string, schema: TSchema, read: () => Document): void => {
      for (const [index, path] of at.entries()) {
        const description: FastifySchema & { summary: string; hide: boolean } = {
          summary,
          hide: index > 0,
          // For the description only: a Buffer is sent as it is.
          response: { 200: { description: 'OK', content: { [type]: { schema } } } },
        }
        app.get(routePattern(path), {
          config: { access: 'public', cors: 'public' },
          schema: description,
          handler: (request, reply) => sendDocument(request, reply, type, read()),
        })
      }
    }
    serve(paths.keySet, 'Public keys that verify access tokens', 'application/jwk-set+json', KeySet, keyring.jwks)
    serve(
      paths.authorizationServer,
      'Authorization server metadata (RFC 8414)',
      'application/json',
      Metadata,
      () => authorizationServer,
    )
    serve(
      paths.openid,
      'The same where OpenID Connect libraries look for it',
      'application/json',
      OpenidMetadata,
      () => openid,
    )
  }

function sendDocument(
  request: FastifyRequest,
  reply: FastifyReply,
  type: string,
  { body, etag }: Document,
): FastifyReply {
  reply.header('cache-control', CACHING).header('etag', etag).header('cross-origin-resource-policy', 'cross-origin')
  if (matches(request.headers['if-none-match'], etag)) return reply.code(304).send()
  return reply.header('content-type', type).send(body)
}

/** RFC 9110 §13.1.2: a list, compared weakly, or `*`. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.match(/"[^"]*"/g)?.some((tag) => tag === etag) ?? false
}

function prebuilt(document: object): Document {
  const body = Buffer.from(JSON.stringify(document))
  return { body, etag: etagOf(body) }
}

/** A colon in the issuer's path is not the start of a parameter. */
function routePattern(path: string): string {
  return path.replaceAll(':', '::')
}
