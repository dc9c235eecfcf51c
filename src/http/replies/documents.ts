import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../../config/config.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import { targetCheck } from '../guards/target.ts'
import type { Lifecycle } from '../server/health.ts'
import { requestIds, securityHeaders } from './headers.ts'

/** A document that is the same for everybody. */
export interface PublicDocument {
  path: string
  /** Another object when the document has changed. */
  read(): { body: Buffer; headers: Record<string, string> }
}

/**
 * Answers the plain GET of a public document before the router and its hooks, which cost more than the reply. Everybody who
 * verifies tokens fetches these, and a flood of fetches must not reach further. Bytes, checks and measurement are those of
 * the route (a test compares them), and whatever is not plain is left to it: other methods, a query, a condition, a request
 * that a check refuses, connections that are to end, and everything at log level debug, at which such requests have a line.
 * Order: any.
 */
export function answerDocuments(
  app: FastifyInstance,
  documents: readonly PublicDocument[],
  { config, log, metrics }: { config: Config; log: Log; metrics: Metrics },
  lifecycle: Lifecycle,
): void {
  if (log.isLevelEnabled('debug')) return
  const check = targetCheck(config)
  const newId = requestIds(config)
  const common = { ...securityHeaders(config), 'x-request-id': '', 'access-control-allow-origin': '*' }

  const senders = documents.map(({ path, read }) => {
    const measured = metrics.requestSeconds.labels({ route: path, status: 200 })
    let sent: ReturnType<PublicDocument['read']> | undefined
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
    return [path, send] as const
  })
  const byPath = new Map(senders)

  const [route] = app.server.listeners('request') as [RequestListener]
  app.server.removeAllListeners('request').on('request', (request, reply) => {
    const send = request.method === 'GET' && !lifecycle.stopping ? byPath.get(request.url ?? '') : undefined
    if (send && request.headers['if-none-match'] === undefined && passes(request)) send(request, reply)
    else route(request, reply)
  })

  function passes(request: IncomingMessage): boolean {
    try {
      check(request)
      return true
    } catch {
      // The route finds the same and says it.
      return false
    }
  }
}
