import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { startForwarder } from '../support/forwarder.ts'
import { Run, type World } from './model-run.ts'
import { type Step, step } from './model-steps.ts'

/*
 * Random schedules of clients, networks, thieves, crashes, database failovers, and of a server that is slow or says "later",
 * over the real server and database, compared step by step with a small model of the rules. Reproduce a failure with
 * SEED=<printed seed>.
 */
const seed = Number(process.env.SEED ?? randomBytes(4).readInt32BE())
/** CI takes 1,700. */
const STEPS_PER_POLICY = Number(process.env.MODEL_STEPS ?? 200)
const STEPS_PER_SCHEDULE = 40

const IDLE = 3600
const ABSOLUTE = 24 * 3600
const LIFE = { idle: IDLE, absolute: ABSOLUTE, limited: false, bound: 'no' } as const
const policies: World['policy'][] = [
  { grace: 10, lateRetry: 'revoke', rollForward: 'on', keyed: true, ...LIFE },
  { grace: 0, lateRetry: 'revoke', rollForward: 'on', keyed: true, ...LIFE },
  { grace: 10, lateRetry: 'recover', rollForward: 'on', keyed: false, ...LIFE },
  { grace: 10, lateRetry: 'revoke', rollForward: 'off', keyed: false, ...LIFE },
  { grace: 3, lateRetry: 'recover', rollForward: 'off', keyed: true, ...LIFE },
  { grace: 10, lateRetry: 'revoke', rollForward: 'on', keyed: false, ...LIFE, limited: true },
  { grace: 10, lateRetry: 'revoke', rollForward: 'on', keyed: false, ...LIFE, bound: 'nonces' },
  { grace: 3, lateRetry: 'recover', rollForward: 'off', keyed: false, ...LIFE, bound: 'proofs' },
  { grace: 0, lateRetry: 'revoke', rollForward: 'on', keyed: true, ...LIFE, bound: 'proofs' },
]
/** So little that an honest client meets every limit. */
const LIMITS = { RATE_LIMIT_REFRESH_PER_MINUTE: '8', RATE_LIMIT_FAMILY_PER_MINUTE: '5' }
/**
 * Where anything may be answered "later", these would prove nothing: whether a token was looked at before is not told, and a
 * thief's attempts are owed for like anybody's.
 */
const UNLIMITED_ONLY: ReadonlySet<Step['do']> = new Set([
  'tabs',
  'overtaken',
  'crash',
  'garbage',
  'refresh of unknown fate',
  'steal',
  'thief',
  'straggler',
])

describe.each(policies)(
  'policy $grace s, $lateRetry, roll-forward $rollForward, keys $keyed, limited $limited, bound $bound',
  (policy) => {
    let world: World

    beforeAll(async () => {
      const line = await startForwarder()
      const t = await createTestApp({
        line,
        env: {
          REFRESH_GRACE_SECONDS: String(policy.grace),
          REFRESH_LATE_RETRY: policy.lateRetry,
          REFRESH_ROLL_FORWARD: policy.rollForward,
          REMEMBER_IDLE_SECONDS: String(IDLE),
          REMEMBER_MAX_SECONDS: String(ABSOLUTE),
          LOG_LEVEL: 'silent',
          ...(policy.limited ? LIMITS : {}),
        },
      })
      const password = 'four quiet otters hum'
      const urls = new Map<TestApp, Promise<string>>()
      const listen = (app: TestApp): Promise<string> => {
        const url = urls.get(app) ?? app.listen()
        urls.set(app, url)
        return url
      }
      const { db: direct } = connect({ url: t.databaseUrl, size: 2, applicationName: 'model' })
      const user = await t.signUp(undefined, password)
      world = { t, started: [t], policy, user, password, line, direct, listen, steps: 0, promised: 0 }
    })
    afterAll(async () => {
      await world.direct.destroy()
      for (const each of world.started.toReversed()) await each[Symbol.asyncDispose]()
      await world.line.close()
    })

    test('does what the model says, and ends no honest client', async () => {
      console.log(`seed ${seed}, ${STEPS_PER_POLICY} steps`)
      const steps = policy.limited ? step.filter(({ do: what }) => !UNLIMITED_ONLY.has(what)) : step
      await fc.assert(
        fc.asyncProperty(
          fc.array(steps, { minLength: STEPS_PER_SCHEDULE, maxLength: STEPS_PER_SCHEDULE }),
          async (schedule) => {
            const run = new Run(world)
            try {
              await run.start()
              for (const [index, each] of schedule.entries()) {
                await run.take(each).catch((error: Error) => {
                  error.message = `step ${index + 1}, ${JSON.stringify(each)}: ${error.message}`
                  throw error
                })
                world.steps++
              }
            } finally {
              vi.restoreAllMocks()
            }
          },
        ),
        {
          seed,
          numRuns: Math.ceil(STEPS_PER_POLICY / STEPS_PER_SCHEDULE),
          endOnFailure: process.env.SHRINK === undefined,
        },
      )
      expect(world.steps).toBeGreaterThanOrEqual(STEPS_PER_POLICY)
      expect(world.promised).toBeGreaterThan(STEPS_PER_POLICY / 10)
    }, 600_000)
  },
)
