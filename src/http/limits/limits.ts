import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Clock } from '../../clock.ts'
import type { Config } from '../../config/config.ts'
import type { Db } from '../../db/schema.ts'
import { HOUR, MINUTE } from '../../durations.ts'
import { Problem } from '../../errors.ts'
import type { Metrics } from '../../metrics.ts'
import { networkOf } from '../guards/proxies.ts'
import { createPace } from './pacing.ts'
import { createAllowance, type Policy, type Verdict } from './rate-limit-store.ts'

export type LimitName = 'login' | 'register' | 'refresh' | 'logout' | 'account'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * What every call takes from, or why it takes from nothing. `by: 'handler'`: the handler takes it, as it must where the
     * body says whose request it is, because what a foreign page sends may not be charged to its visitor.
     */
    limit?: LimitName | { name: LimitName; by: 'handler' } | { none: string }
  }
}

/** Takes one from what the client's address may have. Rejects with the database's error if it could not be asked. */
export type Limit = (request: FastifyRequest) => Promise<Verdict>

export type Limits = Readonly<Record<LimitName, Limit>> & {
  /** Over the limit on refreshes: takes one look at whether it is a retry, of which there are as many again. */
  lookOver: Limit
  /** Takes a refresh for what is no token of ours: from the same count, and over the limit refused for good. */
  garbage: Limit
  /** Takes one retry from what a family may have, whatever limit has stopped its rotations. */
  retry: (family: string) => Promise<Verdict>
  /** Waits for the client's turn to be refused for another reason than a count. */
  turnAway: (request: FastifyRequest) => Promise<void>
}

/** One count for each limit, shared by all replicas. */
export function createLimits(deps: { config: Config; db: Db; refreshDb: Db; clock: Clock }): Limits {
  const { config, clock } = deps
  const count = (db: Db, ...policies: Policy[]) => createAllowance({ db, clock }, policies)
  const pace = createPace()
  const paced =
    (take: (key: string) => Promise<Verdict>) =>
    async (key: string): Promise<Verdict> => {
      const verdict = await take(key)
      if (verdict.allowed) return verdict
      const wait = pace(key)
      if (wait > 0) await sleep(wait)
      return { ...verdict, remainingMs: Math.max(1, verdict.remainingMs - wait) }
    }
  const byAddress =
    (take: (key: string) => Promise<Verdict>): Limit =>
    (request) =>
      take(networkOf(request.source.address))
  const of = (db: Db, ...policies: Policy[]): Limit => byAddress(paced(count(db, ...policies)))
  // What takes one round trip itself must not take a second one each time to be counted.
  const refreshes = count(deps.refreshDb, perMinute('refresh', config.RATE_LIMIT_REFRESH_PER_MINUTE))
  return {
    // In the order in which they are asked: what the first refuses does not count for the second.
    login: of(deps.db, perMinute('login', config.RATE_LIMIT_LOGIN_PER_MINUTE, 1), {
      name: 'login_per_hour',
      limit: config.RATE_LIMIT_LOGIN_PER_HOUR,
      windowMs: HOUR,
      lease: 1,
    }),
    register: of(deps.db, {
      name: 'register_per_hour',
      limit: config.RATE_LIMIT_REGISTER_PER_HOUR,
      windowMs: HOUR,
      lease: 1,
    }),
    // Not paced: over this limit nothing is refused yet.
    refresh: byAddress(refreshes),
    garbage: byAddress(paced(refreshes)),
    lookOver: of(deps.refreshDb, perMinute('look_over', config.RATE_LIMIT_REFRESH_PER_MINUTE)),
    logout: of(deps.db, perMinute('logout', config.RATE_LIMIT_LOGOUT_PER_MINUTE)),
    account: of(deps.db, perMinute('account', config.RATE_LIMIT_ACCOUNT_PER_MINUTE)),
    retry: paced(count(deps.refreshDb, perMinute('retry', config.RATE_LIMIT_FAMILY_PER_MINUTE))),
    turnAway: (request) => sleep(pace(networkOf(request.source.address))),
  }
}

function perMinute(
  name: LimitName | 'look_over' | 'retry',
  limit: number,
  lease = Math.max(1, Math.floor(limit / 20)),
): Policy {
  return { name: `${name}_per_minute`, limit, windowMs: MINUTE, lease }
}

/** @throws Problem `too_many_requests`, which tells `Retry-After` and nothing else of the counters. */
export function refuseOver(verdict: Verdict, { throttled }: Pick<Metrics, 'throttled'>): void {
  if (verdict.allowed) return
  throttled.inc({ policy: verdict.policy })
  const retryAfter = Math.ceil(verdict.remainingMs / 1000)
  throw new Problem('too_many_requests', { reason: verdict.policy, retryAfter })
}

/**
 * Checks that every route says what limits it, or the server does not boot; and takes from the limit before the body is
 * read, where the handler does not. Without the database nobody can count: 503, not free passage.
 * Order: after `refuseForeignPages`, before `guardAccess`.
 */
export function limitRates(app: FastifyInstance, limits: Limits, metrics: Pick<Metrics, 'throttled'>): void {
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.limit === undefined) throw new Error(`${String(method)} ${url} declares no limit`)
  })

  // A promise only where there is something to wait for.
  app.addHook('onRequest', (request, _reply, done) => {
    const { access, limit } = request.routeOptions.config
    if (typeof limit !== 'string') return done()
    // Refused in a moment and for nothing. Any page can have its visitor send such a request, but none with this header.
    if (access !== 'public' && request.headers.authorization === undefined) return done()
    limits[limit](request)
      .then((verdict) => refuseOver(verdict, metrics))
      .then(() => done(), done)
  })
}
