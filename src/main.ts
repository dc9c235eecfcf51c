#!/usr/bin/env node
// oxlint-disable-next-line import/no-unassigned-import -- its effect must come before all other imports
import './threads.ts'
import { createApp } from './app.ts'
import { record } from './audit/audit.ts'
import { createDatabaseClock } from './clock.ts'
import type { Config } from './config/config.ts'
import { describeTarget } from './config/database-target.ts'
import { ConfigError, judgeDatabaseLink, parseConfig } from './config/parse.ts'
import { deriveKeyList } from './config/secrets.ts'
import { createHashProcess } from './credentials/passwords/hash-process.ts'
import { migrateOrWait, patience } from './db/patience.ts'
import { connectServer } from './db/pools.ts'
import { databaseTime } from './db/time.ts'
import { probeWrites } from './db/write-probe.ts'
import { createDeps, handlers, prunings } from './deps.ts'
import { MINUTE, SECOND } from './durations.ts'
import type { Lifecycle } from './http/server/health.ts'
import { closeServer, drain, listen, opening, urlOf } from './http/server/listeners.ts'
import { createMetricsServer, registerGauges } from './http/server/metrics.ts'
import { createLog } from './log.ts'
import { byServer } from './operation.ts'
import { createMailer } from './outbox/mail/mailer.ts'
import { loadTemplates, TemplateError, type Templates } from './outbox/mail/templates.ts'
import { startWorker } from './outbox/worker.ts'
import { prune } from './prune.ts'
import { countVerifiers } from './revocations/receipts/census.ts'
import { keepClock, repeat } from './schedule.ts'

const PRUNE_EVERY_MS = 15 * MINUTE
const TALLY_EVERY_MS = SECOND
/** Less than what requests under way are given, so that a hand-over that hangs holds nothing up. */
const FINISH_DELIVERIES_MS = 20 * SECOND

export interface RunningServer {
  config: Config
  /** The URL of the public listener, with its actual port. */
  url: string
  metricsUrl: string
  /** Becomes unready, lets requests finish, closes everything. Never rejects; a second call joins the first. */
  stop(): Promise<void>
}

/**
 * The server, from settings to listeners.
 * @throws ConfigError with every fault; SealError if the secret does not fit the database; Unreachable if the database
 * does not answer for a minute, or refuses the connection; ListenError.
 */
export async function serve(env: Readonly<Record<string, string | undefined>>): Promise<RunningServer> {
  const parsed = parseConfig(env)
  const { config, secrets, warnings } = parsed
  const log = createLog(config)
  for (const warning of warnings) log.warn(warning)
  const templates = templatesOf(config)

  const whenUp = patience(log, describeTarget(parsed.database))
  await whenUp(async () => {
    await judgeDatabaseLink(parsed)
    const applied = await migrateOrWait(log, secrets.databaseUrl)
    if (applied.length > 0) log.info({ applied }, 'the schema was brought up to date')
  })

  const { db, refreshDb, rotationDb, pools, close } = connectServer({
    url: secrets.databaseUrl,
    size: config.DATABASE_POOL_SIZE,
    onIdleError: (error) => log.warn({ err: error }, 'an idle connection to the database broke'),
  })
  const closing: (() => unknown)[] = [close]
  const closeAll = async () => {
    for (const close of closing.splice(0).toReversed()) {
      try {
        await close()
      } catch (error) {
        log.error({ err: error }, 'a part did not close cleanly')
      }
    }
  }
  try {
    const clock = createDatabaseClock(() => databaseTime(db))
    await whenUp(async () => {
      await probeWrites(db)
      await clock.synchronise()
    })
    const clockKeeper = keepClock(log, clock)
    closing.push(() => clockKeeper.stop())

    const hashProcess = createHashProcess({ threads: config.HASH_CONCURRENCY, env, log })
    closing.push(() => hashProcess.stop())
    const serverKeys = deriveKeyList(secrets.serverSecrets)
    const foundation = { config, db, refreshDb, rotationDb, clock: clock.now, log, serverKeys }
    const { deps, keys, clients } = await createDeps(foundation, hashProcess.computeTag)
    closing.push(
      () => keys.stop(),
      () => clients.stop(),
    )

    const { tally } = deps
    const tallying = repeat(log, {
      name: 'tally',
      everyMs: TALLY_EVERY_MS,
      work: () => tally.flush(clock.now()),
    })
    closing.push(async () => {
      await tallying.stop()
      await tally.flush(clock.now())
    })

    const counting = countVerifiers(deps)
    closing.push(() => counting.stop())

    const due = prunings(config)
    const pruning = repeat(log, {
      name: 'prune',
      everyMs: PRUNE_EVERY_MS,
      work: async () => log.info({ deleted: await prune(deps, due) }, 'pruned'),
    })
    closing.push(() => pruning.stop())

    const mailer = createMailer({ ...deps, templates }, secrets.smtpUrl)
    closing.push(() => mailer.close())
    const worker = startWorker(deps, handlers({ ...deps, mailer }))
    registerGauges(deps, { pools, clock, activeSince: keys.activeSince, outboxDue: worker.oldestDue })

    const lifecycle: Lifecycle = { stopping: false }
    const app = createApp(deps, lifecycle)
    const metricsServer = createMetricsServer(deps)
    closing.push(
      () => closeServer(metricsServer),
      () => Promise.all([drain(app, config, lifecycle), worker.stop(FINISH_DELIVERIES_MS)]),
    )
    await Promise.all([
      opening({ host: 'HOST', port: 'PORT' }, config, app.listen({ host: config.HOST, port: config.PORT })),
      opening(
        { host: 'METRICS_HOST', port: 'METRICS_PORT' },
        config,
        listen(metricsServer, config.METRICS_HOST, config.METRICS_PORT),
      ),
      record(db, byServer(clock.now()), {
        type: 'server.started',
        outcome: 'success',
        details: { settings: { ...config } },
      }),
    ])
    const url = urlOf(config.HOST, app.server)
    const metricsUrl = urlOf(config.METRICS_HOST, metricsServer)
    log.info({ url, metricsUrl, issuer: config.ISSUER, ms: Math.round(performance.now()) }, 'ready')

    let stopped: Promise<void> | undefined
    const stop = async () => {
      log.info('stopping')
      await closeAll()
      log.info('stopped')
    }
    return { config, url, metricsUrl, stop: () => (stopped ??= stop()) }
  } catch (error) {
    await closeAll()
    throw error
  }
}

function templatesOf({ MAIL_TEMPLATES }: Config): Templates {
  try {
    return loadTemplates(MAIL_TEMPLATES)
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error
    throw new ConfigError(error.faults.map((message) => ({ name: 'MAIL_TEMPLATES', message })))
  }
}

/** EX_CONFIG of sysexits.h: restarting with the same settings is of no use. */
const EXIT_CONFIG = 78

/**
 * Runs the server as a process, which ends with 0 after a signal, 1 after an uncaught error, 78 with a wrong setting.
 */
export async function run(): Promise<void> {
  let server: RunningServer | undefined
  let ending = false
  const end = (code: number) => {
    // A second signal ends the process at once.
    if (ending) process.exit(code || 1)
    ending = true
    if (!server) process.exit(code)
    void server.stop().then(() => process.exit(code))
  }
  process.on('SIGTERM', () => end(0))
  process.on('SIGINT', () => end(0))
  const crash = (error: unknown) => {
    if (ending) return
    createLog({ LOG_LEVEL: 'fatal' }).fatal({ err: error }, 'an error that nothing caught; stopping')
    end(1)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)

  try {
    server = await serve(process.env)
  } catch (error) {
    if (error instanceof ConfigError) {
      process.stderr.write(`${error.message}\n`)
      process.exit(EXIT_CONFIG)
    }
    createLog({ LOG_LEVEL: 'fatal' }).fatal({ err: error }, 'the server could not start')
    process.exit(1)
  }
}

if (import.meta.main) await run()
