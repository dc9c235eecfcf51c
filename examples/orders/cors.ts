import type { FastifyInstance } from 'fastify'

/** Lets the pages of one origin call this service with a token. No credentials: there are no cookies here. */
export function allowOrigin(app: FastifyInstance, origin: string): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('vary', 'Origin')
    if (request.headers.origin !== origin) return
    // Pages have to read why they were refused, and where DPoP is on, the nonce and the time for the next proof.
    reply
      .header('access-control-allow-origin', origin)
      .header('access-control-expose-headers', 'www-authenticate, dpop-nonce, date')
    // A preflight carries no token. It is answered here, before anybody asks for one.
    if (request.method === 'OPTIONS' && request.headers['access-control-request-method']) {
      return await reply
        .code(204)
        .header('access-control-allow-methods', 'GET, POST')
        .header('access-control-allow-headers', 'authorization, content-type, dpop')
        .header('access-control-max-age', '600')
        .send()
    }
  })
}
