import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Clock } from '../../clock.ts'
import type { Config } from '../../config/config.ts'
import type { Db } from '../../db/schema.ts'
import { Problem } from '../../errors.ts'
import type { Metrics } from '../../metrics.ts'
import { networkOf } from '../guards/proxies.ts'
import { createPace } from './pacing.ts'
import { type LimitName, leased, type Policy, perMinute, policiesOf } from './policies.ts'
import { createAllowance, type Verdict } from './rate-limit-store.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * The limit that every call takes from, or why there is none. With `by: 'handler'` the handler takes from it, once
     * the body has told which client the request is for: a foreign page must not use up the limit of its visitor's
     * address.
     */
    limit?: LimitName | { name: LimitName; by: 'handler' } | { none: string }
  }
}

/** Takes one from the limit of the client's address. Rejects with the database's error if it cannot be asked. */
export type Limit = (request: FastifyRequest) => Promise<Verdict>

export type Limits = Readonly<Record<LimitName, Limit>> & {
  /** Over the limit of refreshes: takes one lookup of whether it is a retry. There are as many lookups as refreshes. */
  lookOver: Limit
  /** Takes one refresh for a token that is not ours, from the same count. Over the limit it is refused. */
  garbage: Limit
  /** Takes one retry from the limit of a family. */
  retry: (family: string) => Promise<Verdict>
  /** Takes one failure of a client in a network to prove itself. */
  clientFailure: (network: string) => Promise<Verdict>
  /** Paces a refusal that has another reason than a limit. */
  turnAway: (request: FastifyRequest) => Promise<void>
}

/** Per address and minute. A service that is set up wrongly tries again at its own pace, and comes nowhere near. */
const CLIENT_FAILURES = 60

/** One count for each limit, shared by all replicas. */
export function createLimits(deps: { config: Config; db: Db; refreshDb: Db; clock: Clock }): Limits {
  const { config, clock } = deps
  const policies = policiesOf(config)
  const count = (db: Db, asked: Policy[]) => createAllowance({ db, clock }, asked)
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
  const of = (db: Db, asked: Policy[]): Limit => byAddress(paced(count(db, asked)))
  const refreshes = count(deps.refreshDb, policies.refresh)
  return {
    login: of(deps.db, policies.login),
    register: of(deps.db, policies.register),
    forgot: of(deps.db, policies.forgot),
    // Not paced, because over this limit retries are still answered.
    refresh: byAddress(refreshes),
    garbage: byAddress(paced(refreshes)),
    lookOver: of(deps.refreshDb, [leased('look_over', config.RATE_LIMIT_REFRESH_PER_MINUTE, config)]),
    logout: of(deps.db, policies.logout),
    account: of(deps.db, policies.account),
    retry: paced(count(deps.refreshDb, [leased('retry', config.RATE_LIMIT_FAMILY_PER_MINUTE, config)])),
    clientFailure: paced(count(deps.db, [perMinute('client_failure', CLIENT_FAILURES)])),
    turnAway: (request) => sleep(pace(networkOf(request.source.address))),
  }
}

/** @throws Problem `too_many_requests`, whose reply states the policy if it is one of the client's address. */
export function refuseOver(verdict: Verdict, { throttled }: Pick<Metrics, 'throttled'>): void {
  if (verdict.allowed) return
  throttled.inc({ policy: verdict.policy })
  const retryAfter = Math.ceil(verdict.remainingMs / 1000)
  throw new Problem('too_many_requests', { reason: verdict.policy, retryAfter })
}

/**
 * Checks that every route declares its limit, or else the server does not boot, and takes from it before the body is
 * read, unless the handler does. If the counters cannot be reached the answer is 503, so an outage does not lift the
 * limits.
 * Order: after `refuseForeignPages`, before `guardAccess`.
 */
export function limitRates(app: FastifyInstance, limits: Limits, metrics: Pick<Metrics, 'throttled'>): void {
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.limit === undefined) throw new Error(`${String(method)} ${url} declares no limit`)
  })

  // A promise is made only if there is something to wait for.
  app.addHook('onRequest', (request, _reply, done) => {
    const name = takenFirst(request)
    if (name === undefined) return done()
    limits[name](request)
      .then((verdict) => refuseOver(verdict, metrics))
      .then(() => done(), done)
  })
}

/** The limit that is taken from before anything else is done, if there is one. */
function takenFirst({ routeOptions: { config }, headers, source }: FastifyRequest): LimitName | undefined {
  const { access, limit } = config
  // No page can make its visitors send the header. The other thing in it is the proof of who stated the address.
  const hasToken = headers.authorization !== undefined && source.statedBy === undefined
  // It is looked up before the handler is asked.
  if (access === 'optional' && hasToken && typeof limit === 'object' && 'name' in limit) return limit.name
  if (typeof limit !== 'string') return undefined
  // Without the header the request will be refused at no cost, so it is not counted: any page could make its visitors send
  // such requests and use up their limit.
  const needsToken = access !== 'public' && access !== 'optional'
  return needsToken && !hasToken ? undefined : limit
}
