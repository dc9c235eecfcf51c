import { normalizeIP } from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Config } from '../config.ts'
import type { Deps } from '../deps.ts'
import { Problem } from '../errors.ts'
import { clientAddress } from './facts.ts'
import { createAllowance, type Policy } from './rate-limit-store.ts'

type LimitedRoute = 'login' | 'register' | 'refresh'

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

/** Of one family, by its id: retries are answered from this, whatever limit has stopped its rotations. */
export function retries({ RATE_LIMIT_FAMILY_PER_MINUTE: limit }: Config): Policy {
  return { name: 'retry_per_minute', limit, windowMs: MINUTE_MS, lease: Math.max(1, Math.floor(limit / 20)) }
}

/**
 * Limits per client address on routes that state `config.limit`, before the body is read. The replies tell `Retry-After`
 * and nothing else of the counters. Without the database nobody can count: 503, not free passage.
 * Order: after `refuseUnknown`, before `guardAccess`.
 */
export function limitRates(app: FastifyInstance, deps: Pick<Deps, 'config' | 'db' | 'clock' | 'metrics'>): void {
  const allowances = new Map(
    Object.entries(policies(deps.config)).map(([route, list]) => [route, createAllowance(deps, list)]),
  )

  // A promise only where there is something to wait for: most requests are of routes without a limit.
  app.addHook('onRequest', (request, _reply, done) => {
    const { limit } = request.routeOptions.config
    if (limit === undefined) return done()
    spend(request, limit).then(() => done(), done)
  })

  const spend = async (request: FastifyRequest, limit: LimitedRoute): Promise<void> => {
    const allowance = allowances.get(limit)
    if (!allowance) throw new Error(`no limit is named ${limit}`)
    const verdict = await allowance(networkOf(request))
    if (verdict.allowed) return
    deps.metrics.throttled.inc({ policy: verdict.policy })
    const retryAfter = Math.ceil(verdict.remainingMs / 1000)
    throw new Problem('too_many_requests', { reason: verdict.policy, retryAfter })
  }
}

/** One IPv4 address or one IPv6 /64, which is what a single subscriber commands. */
function networkOf(request: FastifyRequest): string {
  const address = clientAddress(request)
  return address === undefined ? 'unknown' : normalizeIP(address, 64)
}
