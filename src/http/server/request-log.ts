import type { FastifyInstance } from 'fastify'
import type { Config } from '../../config/config.ts'
import type { Metrics } from '../../metrics.ts'
import { endsConnections, type Lifecycle } from './health.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** What a route has learnt for the log: ids and the reason of a refusal, never anything that was sent. */
    noted: { userId?: string; familyId?: string; clientId?: string; code?: string; reason?: string }
  }
}

/**
 * Measures and logs every request once it has been answered, at level debug for probes and public documents, which are
 * fetched all the time. The pattern of the route is logged instead of the path, which may hold anything, and the query
 * string never is. Operators may log only a share of the successful requests.
 */
export function logRequests(
  app: FastifyInstance,
  { requestSeconds }: Pick<Metrics, 'requestSeconds'>,
  { LOG_SUCCESS_SAMPLE: sample }: Pick<Config, 'LOG_SUCCESS_SAMPLE'>,
): void {
  // Tells those who count lines that each stands for several requests.
  const sampled = sample < 1 ? { sample } : {}
  app.decorateRequest('noted')
  app.addHook('onRequest', (request, _reply, done) => {
    request.noted = {}
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    const { url: route = 'none', config } = request.routeOptions
    const ms = reply.elapsedTime
    requestSeconds.observe({ route, status: reply.statusCode }, ms / 1000)
    const success = reply.statusCode < 400
    if (success && sample < 1 && Math.random() >= sample) return done()
    const quiet = success && (probe(route) || config.cors === 'public')
    request.log[quiet ? 'debug' : 'info'](
      {
        method: request.method,
        route,
        status: reply.statusCode,
        ms: Math.round(ms * 10) / 10,
        address: request.source.address,
        ...(request.source.statedBy === undefined ? {} : { statedBy: request.source.statedBy }),
        ...request.noted,
        ...(success ? sampled : {}),
      },
      'request',
    )
    done()
  })
  app.addHook('onRequestAbort', async (request) => {
    request.log.info(
      { method: request.method, route: request.routeOptions.url ?? 'none', address: request.source.address },
      'the client went away',
    )
  })
}

function probe(route: string): boolean {
  return route === '/livez' || route === '/readyz'
}

/** Who called, where that is a user. Order: after `guardAccess`. */
export function noteCallers(app: FastifyInstance): void {
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.caller?.kind === 'user') {
      const { subject, sessionId } = request.caller
      request.noted = { userId: subject.id, familyId: sessionId }
    }
    done()
  })
}

/** Once the process is to end, every reply ends its connection: the client's next one goes elsewhere. */
export function retireConnections(app: FastifyInstance, lifecycle: Lifecycle): void {
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (endsConnections(lifecycle)) reply.header('connection', 'close')
    done(null, payload)
  })
}
