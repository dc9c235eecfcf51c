// Verifies access tokens offline, with the issuer's public keys: it never asks the issuer about a token. That a session has
// ended it hears from the issuer's revocation feed.
import { createVerifier } from '@claviger/verifier'
import { bearerAuth } from '@claviger/verifier/fastify'
import fastify, { type FastifyInstance } from 'fastify'
import { allowOrigin } from './cors.ts'
import { createOrderBook } from './orders.ts'

export interface OrdersOptions {
  /** Exactly as in `iss`. */
  issuer: string
  /** What tokens must name in `aud`. */
  audience: string
  /** Of the pages that may call. */
  origin: string
  /** Base URL of the issuer as this process reaches it, where that is another one. */
  issuerInside?: string | undefined
  /** Base URL of this service as its clients know it: what proofs name. */
  url: string
  /** This service as a client of the issuer, to report what it has heard. Without it, it hears all the same. */
  client?: { id: string; secret: string; instance: string } | undefined
}

const NewOrder = {
  type: 'object',
  required: ['item'],
  additionalProperties: false,
  properties: { item: { type: 'string', minLength: 1, maxLength: 80 } },
} as const

export async function createOrders(options: OrdersOptions): Promise<FastifyInstance> {
  const { issuer, audience, origin, issuerInside = issuer, url, client } = options
  const verify = createVerifier({
    issuer,
    audience,
    // What has ended is refused about a second later. Where that cannot be known for ten seconds, nothing is let in.
    revocations: { maxStaleness: '10s', onStale: 'reject' },
    // Tokens that are bound to a key come with a proof by it; others as ever.
    dpop: { mode: 'accepted', origin: url },
    ...(client ? { client } : {}),
    fetch: (asked, init) => fetch(asked.replace(issuer, issuerInside), init),
  })
  const app = fastify()
  const orders = createOrderBook()

  allowOrigin(app, origin)
  // From here on every route needs a valid token, or says that it is public.
  await app.register(bearerAuth, { verify })
  app.addHook('onClose', async () => verify.close())

  app.get('/readyz', { config: { auth: 'public' } }, async () => {
    await verify.ready()
    return { status: 'ready' }
  })

  app.get('/orders', ({ claims }) => ({ orders: orders.of(claims.sub) }))

  app.post<{ Body: { item: string } }>('/orders', { schema: { body: NewOrder } }, ({ claims, body }, reply) =>
    reply.code(201).send(orders.place(claims.sub, body.item)),
  )

  app.get('/admin/orders', { config: { auth: { role: 'admin' } } }, () => ({ orders: orders.all() }))

  return app
}
