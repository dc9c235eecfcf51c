import rateLimit, { normalizeIP } from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Config } from '../config.ts'
import type { Deps } from '../deps.ts'
import { Problem } from '../errors.ts'
import { clientAddress } from './facts.ts'
import { createAllowance, type Policy } from './rate-limit-store.ts'

type LimitedRoute = 'login' | 'register' | 'refresh'
type Limiter = ReturnType<FastifyInstance['createRateLimit']>

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** In the order in which they are asked: what the first refuses does not count for the second. */
export function policies(config: Config): Record<LimitedRoute, Policy[]> {
  const refreshes = config.RATE_LIMIT_REFRESH_PER_MINUTE
  return {
    login: [
      { name: 'login_per_minute', limit: config.RATE_LIMIT_LOGIN_PER_MINUTE, windowMs: MINUTE_MS, lease: 1 },
      { name: 'login_per_hour', limit: config.RATE_LIMIT_LOGIN_PER_HOUR, windowMs: HOUR_MS, lease: 1 },
    ],
    register: [{ name: 'register_per_hour', limit: config.RATE_LIMIT_REGISTER_PER_HOUR, windowMs: HOUR_MS, lease: 1 }],
    // A refresh is one round trip; its limit must not be a second one each time.
    refresh: [
      {
        name: 'refresh_per_minute',
        limit: refreshes,
        windowMs: MINUTE_MS,
        lease: Math.max(1, Math.floor(refreshes / 20)),
      },
    ],
  }
}

/**
 * Limits per client address on routes that state `config.limit`, before the body is read. The replies tell `Retry-After`
 * and nothing else of the counters. Without the database nobody can count: 503, not free passage.
 * Order: after `refuseUnknown`, before `guardAccess`.
 */
export function limitRates(app: FastifyInstance, deps: Pick<Deps, 'config' | 'db' | 'clock' | 'metrics'>): void {
  const limiters = new Map<string, { name: string; check: Limiter }[]>()

  app.register(rateLimit, { global: false, store: policyStores(deps) })
  app.after(() => {
    for (const [route, list] of Object.entries(policies(deps.config))) {
      limiters.set(
        route,
        list.map((policy) => {
          const options = { max: policy.limit, timeWindow: policy.windowMs, keyGenerator: networkOf, policy }
          return { name: policy.name, check: app.createRateLimit(options) }
        }),
      )
    }
  })

  // A promise only where there is something to wait for: most requests are of routes without a limit.
  app.addHook('onRequest', (request, _reply, done) => {
    const { limit } = request.routeOptions.config
    if (limit === undefined) return done()
    spend(request, limit).then(() => done(), done)
  })

  const spend = async (request: FastifyRequest, limit: LimitedRoute): Promise<void> => {
    const list = limiters.get(limit)
    if (!list) throw new Error(`no limit is named ${limit}`)
    for (const { name, check } of list) {
      const verdict = await check(request)
      if (verdict.isAllowed || !verdict.isExceeded) continue
      deps.metrics.throttled.inc({ policy: name })
      throw new Problem('too_many_requests', { reason: name, retryAfter: verdict.ttlInSeconds })
    }
  }
}

/** One IPv4 address or one IPv6 /64, which is what a single subscriber commands. */
function networkOf(request: FastifyRequest): string {
  const address = clientAddress(request)
  return address === undefined ? 'unknown' : normalizeIP(address, 64)
}

/** Gives the plugin our counters, in the form in which it asks for a store: a class, with a child per limiter. */
function policyStores(deps: Pick<Deps, 'db' | 'clock'>) {
  return class Stores {
    incr(): never {
      throw new Error('every limiter has its own policy')
    }

    child(options: object) {
      const { policy } = options as { policy: Policy }
      const spend = createAllowance(deps, policy)
      return {
        incr: (key: string, answer: (error: Error | null, result?: { current: number; ttl: number }) => void): void => {
          spend(key).then(
            // The plugin compares a count with the limit. Which count is known only for leases, so: within it, or past it.
            ({ allowed, remainingMs }) =>
              answer(null, { current: allowed ? policy.limit : policy.limit + 1, ttl: remainingMs }),
            (error: Error) => answer(error),
          )
        },
        child(): never {
          throw new Error('a limiter has no limiters')
        },
      }
    }
  }
}
