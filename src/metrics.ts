import { type Aggregator, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/**
 * Every metric. Labels come from small fixed sets: ids, addresses or paths would grow without bound, and would carry
 * personal data into a system that keeps it for months.
 */
export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]
  return {
    registry,
    logins: new Counter({
      name: 'claviger_logins_total',
      help: 'Sign-in attempts',
      labelNames: ['outcome'] as const,
      registers,
    }),
    refreshes: new Counter({
      name: 'claviger_refreshes_total',
      help: 'Refresh requests',
      labelNames: ['outcome'] as const,
      registers,
    }),
    reuseDetected: new Counter({
      name: 'claviger_refresh_reuse_detected_total',
      help: 'Families ended because a token was replayed',
      registers,
    }),
    retries: new Counter({
      name: 'claviger_refresh_grace_replays_total',
      help: 'Refreshes answered with the same successor again',
      registers,
    }),
    retryStreaks: new Counter({
      name: 'claviger_refresh_retry_streaks_total',
      help: 'Families with retries in five rotations running',
      registers,
    }),
    tokensTooLarge: new Counter({
      name: 'claviger_tokens_too_large_total',
      help: 'Access tokens that were not issued because roles and custom claims would make them too large',
      registers,
    }),
    throttled: new Counter({
      name: 'claviger_throttled_total',
      help: 'Requests answered 429',
      labelNames: ['policy'] as const,
      registers,
    }),
    sprays: new Counter({
      name: 'claviger_login_sprays_total',
      help: 'Networks whose budget of sign-ins was made smaller because many accounts failed from there',
      registers,
    }),
    clientAuthentications: new Counter({
      name: 'claviger_client_authentications_total',
      help: 'Attempts of service clients to prove themselves',
      labelNames: ['outcome'] as const,
      registers,
    }),
    deliveries: new Counter({
      name: 'claviger_deliveries_total',
      help: 'Attempts to deliver what is in the outbox',
      labelNames: ['kind', 'outcome'] as const,
      registers,
    }),
    mailFailures: new Counter({
      name: 'claviger_mail_failures_total',
      help: 'Attempts to hand a mail over that failed',
      labelNames: ['cause'] as const,
      registers,
    }),
    verifiers: new Gauge({
      name: 'claviger_verifiers',
      help: 'Instances of services that report what they have heard of the revocation feed',
      labelNames: ['state'] as const,
      aggregator: 'max',
      registers,
    }),
    revocationStreams: new Gauge({
      name: 'claviger_revocation_streams',
      help: 'Streams of revocations that are open',
      registers,
    }),
    connectionsCut: new Counter({
      name: 'claviger_http_connections_cut_total',
      help: 'Connections closed because their client held too much',
      labelNames: ['cause'] as const,
      registers,
    }),
    hashSeconds: new Histogram({
      name: 'claviger_password_hash_seconds',
      help: 'Duration of one argon2 computation',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
      registers,
    }),
    signSeconds: new Histogram({
      name: 'claviger_sign_seconds',
      help: 'Duration of one signature, waiting included',
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25],
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'claviger_http_request_seconds',
      help: 'Duration of a request',
      labelNames: ['route', 'status'] as const,
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5],
      registers,
    }),
    /** @param aggregator what is told of several processes. */
    gauge: (name: string, help: string, read: () => number, aggregator: Aggregator = 'sum') =>
      new Gauge({
        name,
        help,
        registers,
        aggregator,
        collect() {
          this.set(read())
        },
      }),
  }
}

export type Metrics = ReturnType<typeof createMetrics>

/** The values of all metrics of a process at one moment. */
export type Snapshot = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

/** What there is to be told of the processes of a server that has several. */
export function createProcessMetrics(serving: () => number, wanted: number) {
  const registry = new Registry()
  const registers = [registry]
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  collectDefaultMetrics({ register: registry })
  gauge('claviger_processes', 'Processes that serve', serving)
  gauge('claviger_processes_wanted', 'Processes that there should be', () => wanted)
  return {
    registry,
    ended: new Counter({
      name: 'claviger_processes_ended_total',
      help: 'Processes that ended, and whose place was taken by another',
      labelNames: ['cause'] as const,
      registers,
    }),
  }
}

export type ProcessMetrics = ReturnType<typeof createProcessMetrics>
