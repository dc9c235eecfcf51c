import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Clock } from '../../clock.ts'
import type { Db } from '../../db/schema.ts'
import { type Endpoint, endpoint } from '../../http/requests/endpoint.ts'
import { takeReceipt } from './receipts.ts'

const Receipt = Type.Object(
  {
    epoch: Type.String({
      pattern: '^[A-Za-z0-9_-]{22}$',
      description: 'Of the feed, as its documents have it.',
      examples: ['pX2vZ0rY3mJq8tLw5nKc1A'],
    }),
    seq: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'The last entry that has been applied.',
      examples: [412],
    }),
    kids: Type.Array(Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }), {
      maxItems: 50,
      description: 'The signing keys that the instance holds.',
    }),
    instance: Type.String({
      pattern: '^[ -~]{1,100}$',
      description: 'Which instance of the service this is: printable ASCII.',
      examples: ['web-1:812'],
    }),
  },
  { additionalProperties: false },
)

/** Where verifiers report. @param authenticate names the service client that calls. @throws Problem if it is none. */
export function receiptEndpoint(
  deps: { db: Db; clock: Clock },
  authenticate: (request: FastifyRequest) => Promise<{ id: string }>,
): Endpoint {
  const { schema, handler } = endpoint(
    {
      tags: ['Keys'],
      summary: 'Report what has been heard',
      description:
        'From a service client that follows the feed, with its credentials by HTTP Basic or an access token whose only audience is the feed, `<issuer>/.well-known/revocations`: what it has applied, and which keys it holds. Operators are shown it; a planned key rotation waits for it, one day at most. Every five seconds is enough; of an instance one report a second is kept.',
      security: [{ clientSecret: [] }, { feedToken: [] }],
      body: Receipt,
      response: { 204: Type.Null({ description: 'Noted' }) },
      problems: ['invalid_client', 'too_many_requests', 'unavailable'],
    },
    async (request, reply) => {
      const { id } = await authenticate(request)
      await takeReceipt(deps, id, request.body)
      return reply.code(204).send(null)
    },
  )
  // In the words of RFC 6749, as everywhere that clients prove themselves.
  return { schema, handler, errors: 'oauth' }
}
