import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type TSchema, Type } from 'typebox'
import type { Config } from '../../config/config.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import { targetCheck } from '../guards/target.ts'
import type { Endpoint, PublicDocument, Route } from '../requests/endpoint.ts'
import { endsConnections, type Lifecycle } from '../server/health.ts'
import { requestIds, securityHeaders } from './headers.ts'

/**
 * A copy is fresh for five minutes, and may be served for one more while a new one is fetched. A cache that cannot
 * reach us may use its copy for a day: keys are published a day before they sign and a day afterwards, so no planned
 * rotation fails.
 */
const CACHING = 'public, max-age=300, stale-while-revalidate=60, stale-if-error=86400'

/**
 * A document that is the same for everybody and may be cached.
 * @param content returns it from memory: another object once it has changed.
 */
export function documentEndpoint(
  {
    type,
    schema,
    holds,
    ...words
  }: { summary: string; description: string; holds: string; type: string; schema: TSchema },
  content: () => { body: Buffer; etag: string },
): Endpoint {
  let from = content()
  let document = describe(from, type)
  const read = (): PublicDocument => {
    const now = content()
    if (now !== from) [from, document] = [now, describe(now, type)]
    return document
  }
  return {
    read,
    schema: {
      tags: ['Keys'],
      ...words,
      // Only for the description: a Buffer is sent as it is.
      response: {
        200: { description: holds, content: { [type]: { schema } } },
        304: Type.Null({ description: 'Unchanged since the `ETag` that was sent' }),
      },
    },
    handler: (request, reply) => sendDocument(request, reply, read()),
  }
}

function describe({ body, etag }: { body: Buffer; etag: string }, type: string): PublicDocument {
  const headers = {
    'cache-control': CACHING,
    etag,
    'cross-origin-resource-policy': 'cross-origin',
    'content-type': type,
  }
  return { body, headers }
}

export function sendDocument(
  request: FastifyRequest,
  reply: FastifyReply,
  { body, headers }: PublicDocument,
): FastifyReply {
  reply.headers(headers)
  if (!matches(request.headers['if-none-match'], headers.etag ?? '')) return reply.send(body)
  return reply.removeHeader('content-type').code(304).send()
}

/** Whether If-None-Match, a list or `*`, matches under weak comparison (RFC 9110 §13.1.2). */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.match(/"[^"]*"/g)?.some((tag) => tag === etag) ?? false
}

/**
 * Answers a plain GET of a public document without the router and its hooks, which cost more than the reply: every
 * verifier fetches these documents, and a flood of such requests should cost as little as possible. Bytes, checks and
 * measurements are the same as the route's (a test compares them). Anything else is left to the route: other methods, a
 * query, a condition, a request that a check refuses, a server that is stopping, and log level debug, at which such
 * requests are logged.
 * Order: any.
 */
export function answerDocuments(
  app: FastifyInstance,
  routes: readonly Route[],
  { config, log, metrics }: { config: Config; log: Log; metrics: Metrics },
  lifecycle: Lifecycle,
): void {
  if (log.isLevelEnabled('debug')) return
  const check = targetCheck(config)
  const newId = requestIds(config)
  const common = { ...securityHeaders(config), 'x-request-id': '', 'access-control-allow-origin': '*' }

  const senders = routes.flatMap(([, path, , , , { read }]) => {
    if (!read) return []
    const measured = metrics.requestSeconds.labels({ route: path, status: 200 })
    let sent: PublicDocument | undefined
    let [body, headers, idAt] = ['', [] as string[], 0]
    const send = (request: IncomingMessage, reply: ServerResponse): void => {
      const started = performance.now()
      const document = read()
      if (document !== sent) {
        sent = document
        // A string goes out in one write with the headers, a Buffer in two.
        body = document.body.toString('latin1')
        headers = Object.entries({ ...common, ...document.headers, 'content-length': `${document.body.length}` }).flat()
        idAt = headers.indexOf('x-request-id') + 1
      }
      headers[idAt] = newId(request)
      reply.writeHead(200, headers).end(body, 'latin1')
      measured.observe((performance.now() - started) / 1000)
    }
    return [[path, send] as const]
  })
  const byPath = new Map(senders)

  const [route] = app.server.listeners('request') as [RequestListener]
  app.server.removeAllListeners('request').on('request', (request, reply) => {
    const send = request.method === 'GET' && !endsConnections(lifecycle) ? byPath.get(request.url ?? '') : undefined
    if (send && request.headers['if-none-match'] === undefined && passes(request)) send(request, reply)
    else route(request, reply)
  })

  function passes(request: IncomingMessage): boolean {
    try {
      check(request)
      return true
    } catch {
      // The route finds the same fault and answers it.
      return false
    }
  }
}
