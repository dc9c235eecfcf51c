import { createHash, randomBytes } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import { createApp } from '../../src/app.ts'
import type { ClientService } from '../../src/clients/start.ts'
import { createDatabaseClock } from '../../src/clock.ts'
import { type Config, settings } from '../../src/config/config.ts'
import { parseConfig } from '../../src/config/parse.ts'
import { deriveKeyList } from '../../src/config/secrets.ts'
import type { ComputeTag } from '../../src/credentials/passwords/argon2.ts'
import { connect } from '../../src/db/connect.ts'
import { connectServer } from '../../src/db/pools.ts'
import type { Db } from '../../src/db/schema.ts'
import { databaseTime } from '../../src/db/time.ts'
import { createDeps, type Deps, handlers } from '../../src/deps.ts'
import type { Lifecycle } from '../../src/http/server/health.ts'
import type { KeyService } from '../../src/keys/keys.ts'
import { createLog } from '../../src/log.ts'
import { createMailer } from '../../src/outbox/mail/mailer.ts'
import { loadTemplates } from '../../src/outbox/mail/templates.ts'
import type { Handlers } from '../../src/outbox/outbox.ts'
import { noteSecretsOf } from './canary.ts'
import { compileOnce } from './compile-once.ts'
import { computeOnce } from './compute-once.ts'
import { deliverDue } from './deliver.ts'
import type { Forwarder } from './forwarder.ts'
import { cloneDatabase, type TestDatabase } from './postgres.ts'
import { giveSigningKey } from './signing-keys.ts'

export type LogLine = Record<string, unknown> & { level: string; msg?: string }

export interface TestApp extends AsyncDisposable {
  app: FastifyInstance
  env: Record<string, string>
  /** How far the clock has travelled; shared with the replicas that join. */
  journey: { milliseconds: number }
  deps: Deps
  config: Config
  /** As superuser, for the test's own questions; the app works with those of `deps`. */
  db: Db
  keys: KeyService
  clients: ClientService
  lifecycle: Lifecycle
  database: TestDatabase
  /** Of `database`, as the role that the app has. */
  databaseUrl: string
  /** Everything that was logged so far. */
  logs: LogLine[]
  /** Moves the clock, by seconds, from now on. */
  travel(seconds: number): void
  /** As a request that comes for the issuer's own host. */
  inject(options: InjectOptions): Promise<LightMyRequestResponse>
  register(email: string, password: string): Promise<LightMyRequestResponse>
  /** Of the native client unless the body says otherwise: the refresh token is then in the reply. */
  login(body: Record<string, unknown>, headers?: Record<string, string>): Promise<LightMyRequestResponse>
  /** In the body, or in the cookie as a page of the issuer's own origin sends it. */
  refresh(token: string, options?: RefreshOptions): Promise<LightMyRequestResponse>
  /** Registers and signs in. */
  signUp(email?: string, password?: string, body?: Record<string, unknown>): Promise<SignedUp>
  /** Hands over what is due, and what is enqueued meanwhile, until nothing is due any more. Nothing else does in a test. */
  deliver(by?: Handlers): Promise<void>
  /** Opens a real port. @returns its base URL. */
  listen(): Promise<string>
}

export interface RefreshOptions {
  /** `Idempotency-Key`. */
  key?: string
  via?: 'body' | 'cookie'
  body?: Record<string, unknown>
  headers?: Record<string, string>
}

export interface SignedUp {
  email: string
  password: string
  userId: string
  accessToken: string
  refreshToken: string
}

/** The same for all, so that a second server can start on the database of a first. */
const TEST_SECRET = createHash('sha256').update('the secret of the tests').digest('base64')
export const TEST_PASSWORD = 'four quiet otters hum'
const COOKIE = '__Host-refresh_token'

/**
 * The server without a process around it: real database, real keys, real argon2 at the lowest cost that is allowed, and
 * a clock that travels. `await using t = await createTestApp()` cleans up. With `join` it is another replica on the
 * database of a first one, with its settings and its clock; the database stays when it is disposed. With `line` it reaches its
 * database over that. With `computeTag` it hashes by that: where it matters how long a hash takes.
 */
export async function createTestApp(
  options: { env?: Record<string, string>; join?: TestApp; line?: Forwarder; computeTag?: ComputeTag } = {},
): Promise<TestApp> {
  const { join, line, computeTag = computeOnce } = options
  const database = join ? { ...join.database, drop: async () => {} } : await cloneDatabase()
  const env = { ...(join?.env ?? testEnvironment(database.url)), ...options.env }
  noteSecretsOf(env)
  const { config, secrets } = parseConfig(env)
  line?.lead(Number(new URL(database.url).port))
  const url = line?.through(secrets.databaseUrl) ?? secrets.databaseUrl
  const { db: ownerDb } = connect({ url: database.ownerUrl, size: 10, applicationName: 'test' })
  const { db, refreshDb, rotationDb, shards, close } = await connectServer({ url, size: config.DATABASE_POOL_SIZE })
  const journey = join?.journey ?? { milliseconds: 0 }
  const clock = join?.deps.clock ?? (await createClock(db, journey))

  const { log, logs } = memoryLog(config)
  const serverKeys = deriveKeyList(secrets.serverSecrets)
  if (!join && config.KEY_BITS === '2048') await giveSigningKey({ db, clock, serverKeys })
  const { deps, keys, clients } = await createDeps(
    { config, db, refreshDb, rotationDb, shards, clock, log, serverKeys },
    computeTag,
  )
  const mailer = createMailer({ ...deps, templates: loadTemplates(config.MAIL_TEMPLATES) }, secrets.smtpUrl)
  const lifecycle: Lifecycle = { stopping: false }
  const app = createApp(deps, lifecycle).setSchemaController(compileOnce)
  await app.ready()

  const issuer = new URL(config.ISSUER)
  const inject: TestApp['inject'] = ({ headers, ...rest }) => {
    noteSecretsOf(parsed(rest.payload))
    return app.inject({ ...rest, headers: { host: issuer.host, ...headers } })
  }
  const post = (url: string, payload: unknown, headers: Record<string, string> = {}) =>
    inject({
      method: 'POST',
      url,
      headers: { 'content-type': 'application/json', ...headers },
      payload: JSON.stringify(payload),
    })

  const t: TestApp = {
    app,
    env,
    journey,
    deps,
    config,
    db: ownerDb,
    keys,
    clients,
    lifecycle,
    database,
    databaseUrl: database.url,
    logs,
    travel: (seconds) => {
      journey.milliseconds += seconds * 1000
    },
    inject,
    register: (email, password) => post('/register', { email, password }),
    login: (body, headers) => post('/login', { client_id: 'native', ...body }, headers),
    refresh: (token, { key, via = 'body', body = {}, headers = {} } = {}) => {
      const all = { ...(key === undefined ? {} : { 'idempotency-key': key }), ...headers }
      if (via === 'body') return post('/refresh', { refresh_token: token, ...body }, all)
      return inject({
        method: 'POST',
        url: '/refresh',
        headers: { cookie: `${COOKIE}=${token}`, origin: issuer.origin, ...all },
      })
    },
    signUp: async (
      email = `user-${randomBytes(6).toString('hex')}@example.com`,
      password = TEST_PASSWORD,
      body = {},
    ) => {
      const registered = await t.register(email, password)
      if (registered.statusCode !== 201)
        throw new Error(`registration was answered ${registered.statusCode}: ${registered.body}`)
      const answer = await t.login({ email, password, ...body })
      if (answer.statusCode !== 200) throw new Error(`sign-in was answered ${answer.statusCode}: ${answer.body}`)
      const reply = answer.json<{ access_token: string; user: { id: string } }>()
      return {
        email,
        password,
        userId: reply.user.id,
        accessToken: reply.access_token,
        refreshToken: refreshTokenOf(answer),
      }
    },
    deliver: (by = handlers({ ...deps, mailer })) => deliverDue(deps, by),
    listen: () => app.listen({ host: '127.0.0.1', port: 0 }),
    [Symbol.asyncDispose]: async () => {
      await app.close()
      await Promise.all([keys.stop(), clients.stop()])
      await mailer.close()
      await Promise.all([close(), ownerDb.destroy()])
      await database.drop()
    },
  }
  return t
}

async function createClock(db: Db, journey: TestApp['journey']): Promise<() => Date> {
  const base = createDatabaseClock(() => databaseTime(db))
  await base.synchronise()
  return () => new Date(base.now().getTime() + journey.milliseconds)
}

/** The refresh token of a token reply, from wherever it came. */
export function refreshTokenOf(answer: LightMyRequestResponse): string {
  const inBody = answer.json<{ refresh_token?: string }>().refresh_token
  const token = inBody ?? answer.cookies.find((cookie) => cookie.name === COOKIE)?.value
  if (!token) throw new Error('the reply holds no refresh token')
  return token
}

function parsed(payload: unknown): unknown {
  if (typeof payload !== 'string') return payload
  try {
    return JSON.parse(payload)
  } catch {
    return undefined
  }
}

const LIMITS = Object.keys(settings).filter((name) => name.startsWith('RATE_LIMIT_'))

/** Limits are out of the way: a test that is about them sets its own. */
export function testEnvironment(databaseUrl: string): Record<string, string> {
  return {
    DATABASE_URL: databaseUrl,
    CLAVIGER_SECRET: TEST_SECRET,
    REGISTRATION: 'open',
    HASH_CONCURRENCY: '2',
    LOG_LEVEL: 'debug',
    ...Object.fromEntries(LIMITS.map((name) => [name, '100000'])),
  }
}

/** The log in memory, and in the file that TEST_LOG_FILE names: a whole run can then be searched for secrets. */
function memoryLog(config: Config) {
  const logs: LogLine[] = []
  const file = process.env.TEST_LOG_FILE
  const write = (line: string) => {
    logs.push(JSON.parse(line) as LogLine)
    if (file) appendFileSync(file, line)
  }
  return { log: createLog(config, { write }), logs }
}
