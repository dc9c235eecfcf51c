import rateLimit, { type FastifyRateLimitStore, type RateLimitOptions } from '@fastify/rate-limit'
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { connect, type Database } from '../../../src/db/connect.ts'
import type { Policy } from '../../../src/http/limits/policies.ts'
import { createAllowance } from '../../../src/http/limits/rate-limit-store.ts'
import { cloneDatabase, type TestDatabase } from '../../support/postgres.ts'

// What @fastify/rate-limit does with our counter as its store, where that is not what docs/adr/0025 says we need. A version of it
// that fails here may be able to take the place of src/http/limits/limits.ts.

let database: TestDatabase
let connection: Database
beforeAll(async () => {
  database = await cloneDatabase()
  connection = connect({ url: database.url, size: 4 })
})
afterAll(async () => {
  await connection.db.destroy()
  await database.drop()
})
beforeEach(async () => void (await connection.db.deleteFrom('rate_limits').execute()))

const MINUTE: Policy = { name: 'tested_per_minute', limit: 2, windowMs: 60_000, lease: 1 }
const HOUR: Policy = { name: 'tested_per_hour', limit: 1, windowMs: 3_600_000, lease: 1 }

interface Named extends RateLimitOptions {
  policies: Policy[]
}
const of = (...policies: Policy[]): Named => ({ policies, max: policies[0]?.limit ?? 0 })

const limited = (...policies: Policy[]) => ({ config: { access: 'public' as const, rateLimit: of(...policies) } })

class LeasedStore implements FastifyRateLimitStore {
  readonly #spend: ReturnType<typeof createAllowance>
  constructor({ policies = [] }: Partial<Named>) {
    this.#spend = createAllowance({ db: connection.db, clock: () => new Date() }, policies)
  }
  child(options: object): FastifyRateLimitStore {
    return new LeasedStore(options)
  }
  incr(...[key, callback, , max]: Parameters<FastifyRateLimitStore['incr']>): void {
    this.#spend(key).then(
      (verdict) =>
        callback(null, verdict.allowed ? { current: max, ttl: 0 } : { current: max + 1, ttl: verdict.remainingMs }),
      (error: Error) => callback(error),
    )
  }
}

async function createLimitedApp(
  options: Pick<Named, 'errorResponseBuilder' | 'onExceeded' | 'keyGenerator'>,
  routes: (app: FastifyInstance) => void,
) {
  const app = fastify() as unknown as FastifyInstance
  await app.register(rateLimit, { global: false, store: LeasedStore, ...options })
  routes(app)
  await app.ready()
  return app
}

const ask = async (app: FastifyInstance, times: number, url = '/x') => {
  const statuses: number[] = []
  for (let n = 0; n < times; n++) statuses.push((await app.inject(url)).statusCode)
  return statuses
}
const counts = async () => {
  const rows = await connection.db.selectFrom('rate_limits').select(['policy', 'key', 'count']).execute()
  return Object.fromEntries(rows.map(({ policy, count }) => [policy, count]))
}

test('one policy of a route is counted', async () => {
  const app = await createLimitedApp({}, (scope) => {
    scope.get('/x', limited(MINUTE), async () => ({}))
  })
  expect(await ask(app, 3)).toEqual([200, 200, 429])
})

test('the second policy of a route is not: the hook runs once for a request', async () => {
  const app = await createLimitedApp({}, (scope) => {
    const onRequest = [scope.rateLimit(of(MINUTE)), scope.rateLimit(of(HOUR))]
    scope.get('/x', { onRequest }, async () => ({}))
  })
  expect(await ask(app, 3)).toEqual([200, 200, 429])
  expect(await counts()).toEqual({ tested_per_minute: 3 })
})

test('of two policies that one store asks, a refusal does not say which it was', async () => {
  const told: object[] = []
  const errorResponseBuilder = (_request: FastifyRequest, context: object): Error => {
    told.push(context)
    return Object.assign(new Error('over'), { statusCode: 429 })
  }
  const app = await createLimitedApp({ errorResponseBuilder }, (scope) => {
    scope.get('/x', limited(MINUTE, HOUR), async () => ({}))
  })
  expect(await ask(app, 2)).toEqual([200, 429])
  expect(told).toHaveLength(1)
  expect(Object.keys(told[0] ?? {}).toSorted()).toEqual(['after', 'ban', 'max', 'statusCode', 'ttl'])
  // The refusal is the hour's, the limit that is told the minute's.
  expect(told[0]).toMatchObject({ max: MINUTE.limit })
})

test('a hook of the whole app refuses before the count: a bad token is never counted', async () => {
  const app = await createLimitedApp({}, (scope) => {
    scope.addHook('onRequest', async (_request, reply) => reply.code(401).send())
    scope.get('/x', limited(MINUTE), async () => ({}))
  })
  expect(await ask(app, 4)).toEqual([401, 401, 401, 401])
  expect(await counts()).toEqual({})
})

test('a refusal waits for nothing', async () => {
  let began = 0
  const pause = (): Promise<void> => {
    began++
    return new Promise(() => {})
  }
  const onExceeded: () => unknown = pause
  const app = await createLimitedApp({ onExceeded }, (scope) => {
    scope.get('/x', limited(MINUTE), async () => ({}))
  })
  expect(await ask(app, 4)).toEqual([200, 200, 429, 429])
  expect(began).toBe(2)
})

test('what the handler takes is keyed by the request alone: a family that it has learnt of is not asked for', async () => {
  const app = await createLimitedApp({ keyGenerator: ({ ip }) => ip }, (scope) => {
    const take = scope.createRateLimit(of(MINUTE))
    scope.get('/x/:family', async (request, reply) => {
      const { family } = request.params as { family: string }
      const verdict = await (take as (request: FastifyRequest, key: object) => ReturnType<typeof take>)(request, {
        key: family,
      })
      return reply.code(!verdict.isAllowed && verdict.isExceeded ? 429 : 200).send({})
    })
  })
  // Three families, one retry each, and a limit of two.
  expect([...(await ask(app, 1, '/x/a')), ...(await ask(app, 1, '/x/b')), ...(await ask(app, 1, '/x/c'))]).toEqual([
    200, 200, 429,
  ])
})
