import { createServer, type Server } from 'node:http'
import { collectDefaultMetrics } from 'prom-client'
import type { DatabaseClock } from '../../clock.ts'
import type { Config } from '../../config/config.ts'
import type { Database } from '../../db/connect.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import { listen, opening } from './listeners.ts'

/** What the feed of revocations tells of itself. */
interface FeedFacts {
  held: { listed(): readonly unknown[]; asOf(): Date | undefined }
}

/** Registers the gauges, which are read at each scrape. */
export function registerGauges(
  { metrics, hasher, feed }: { metrics: Metrics; hasher: { pending(): number }; feed: FeedFacts },
  from: {
    pools: Database['pool'][]
    clock: Pick<DatabaseClock, 'now' | 'hostOffset'>
    activeSince: () => Date | undefined
    outboxDue: () => Date | undefined
  },
): void {
  const { pools, clock, activeSince, outboxDue } = from
  const all = (count: keyof Database['pool']) => () => pools.reduce((sum, pool) => sum + pool[count], 0)
  metrics.gauge('claviger_db_connections', 'Connections to the database', all('totalCount'))
  metrics.gauge('claviger_db_connections_idle', 'Connections at rest', all('idleCount'))
  metrics.gauge('claviger_db_waiting', 'Callers that wait for a connection', all('waitingCount'))
  metrics.gauge('claviger_password_hashes_pending', 'Hashes that run or wait', () => hasher.pending())
  metrics.gauge(
    'claviger_clock_offset_seconds',
    'Clock of this host minus clock of the database',
    () => clock.hostOffset() / 1000,
    'max',
  )
  const age = (since: Date | undefined) => (since ? (clock.now().getTime() - since.getTime()) / 1000 : undefined)
  metrics.gauge(
    'claviger_active_key_age_seconds',
    'How long the active key has been signing',
    () => age(activeSince()) ?? Number.NaN,
    'max',
  )
  metrics.gauge(
    'claviger_outbox_oldest_due_seconds',
    'How long the oldest delivery that is due has been so',
    () => Math.max(0, age(outboxDue()) ?? 0),
    'max',
  )
  metrics.gauge(
    'claviger_revocations_listed',
    'Revocations that verifiers are told of',
    () => feed.held.listed().length,
    'max',
  )
  metrics.gauge(
    'claviger_revocation_feed_age_seconds',
    'How old the view is that verifiers are given',
    () => age(feed.held.asOf()) ?? Number.NaN,
    'max',
  )
  collectDefaultMetrics({ register: metrics.registry })
  // Of several processes the library tells the average, in which one that is stuck would not be seen.
  for (const metric of metrics.registry.getMetricsAsArray())
    if (metric.name.startsWith('nodejs_eventloop_lag_')) metric.aggregator = 'max'
}

/** What a scrape is answered with. */
interface Scraped {
  metrics(): Promise<string>
  readonly contentType: string
}

/**
 * The listener for Prometheus. It is a separate server, so that no mistake in routes or proxy rules exposes it on the
 * public port. It answers only `GET /metrics`.
 */
export function createMetricsServer({ registry, log }: { registry: Scraped; log: Log }): Server {
  return createServer(
    { requestTimeout: 10_000, headersTimeout: 5000, connectionsCheckingInterval: 2500 },
    (request, reply) => {
      reply.setHeader('x-content-type-options', 'nosniff')
      reply.setHeader('cache-control', 'no-store')
      if (request.url?.split('?')[0] !== '/metrics') return void reply.writeHead(404).end()
      if (request.method !== 'GET' && request.method !== 'HEAD')
        return void reply.writeHead(405, { allow: 'GET, HEAD' }).end()
      registry.metrics().then(
        (text) => reply.writeHead(200, { 'content-type': registry.contentType }).end(text),
        (error: unknown) => {
          log.error({ err: error }, 'the metrics could not be collected')
          reply.writeHead(500).end()
        },
      )
    },
  )
}

/** Opens that listener. @throws ListenError, or the system's error. */
export function openMetrics(
  server: Server,
  config: Pick<Config, 'HOST' | 'PORT' | 'METRICS_HOST' | 'METRICS_PORT'>,
): Promise<void> {
  const opened = listen(server, config.METRICS_HOST, config.METRICS_PORT)
  return opening({ host: 'METRICS_HOST', port: 'METRICS_PORT' }, config, opened)
}
