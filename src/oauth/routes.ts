import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Config } from '../config/config.ts'

const About = Type.Object({
  name: Type.Literal('Claviger'),
  about: Type.String(),
  issuer: Type.String(),
  metadata: Type.String({ description: 'RFC 8414' }),
  jwks_uri: Type.String(),
  docs: Type.Optional(Type.String({ description: 'This API, as a page' })),
  openapi: Type.Optional(Type.String()),
})

/**
 * What somebody reads who opens the address in a browser. Every URL is made from the issuer, never from `Host`, and no version
 * is told: it would say which faults may be there.
 */
export const rootRoutes =
  (
    { ISSUER, DOCS }: Pick<Config, 'ISSUER' | 'DOCS'>,
    paths: { metadata: string; keys: string },
  ): FastifyPluginAsyncTypebox =>
  async (app) => {
    const about = {
      name: 'Claviger' as const,
      about: 'An auth server: it signs people in, and other services verify its tokens with its public keys.',
      issuer: ISSUER,
      metadata: ISSUER + paths.metadata,
      jwks_uri: ISSUER + paths.keys,
      ...(DOCS ? { docs: `${ISSUER}/docs`, openapi: `${ISSUER}/openapi.json` } : {}),
    }
    app.get('/', {
      config: { access: 'public', limit: { none: 'from memory' } },
      schema: { response: { 200: About } },
      handler: async () => about,
    })
  }
