import { createApp } from './app.ts'
import { record } from './audit/audit.ts'
import { createDatabaseClock } from './clock.ts'
import type { Config } from './config/config.ts'
import { describeTarget } from './config/database-target.ts'
import { ConfigError, judgeDatabaseLink, parseConfig } from './config/parse.ts'
import { deriveKeyList } from './config/secrets.ts'
import { ALONE, type Part, shareOf } from './config/share.ts'
import type { Env } from './config/sources.ts'
import { createHashProcess } from './credentials/passwords/hash-process.ts'
import { migrateOrWait, patience } from './db/patience.ts'
import { connectServer } from './db/pools.ts'
import { databaseTime } from './db/time.ts'
import { probeWrites } from './db/write-probe.ts'
import { createDeps, handlers, prunings } from './deps.ts'
import { MINUTE, SECOND } from './durations.ts'
import type { Lifecycle } from './http/server/health.ts'
import { closeServer, drain, opening, stepAside, urlOf } from './http/server/listeners.ts'
import { createMetricsServer, openMetrics, registerGauges } from './http/server/metrics.ts'
import { createLog } from './log.ts'
import type { Snapshot } from './metrics.ts'
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

/** A server that is one of several processes of a container. */
export interface RunningPart {
  url: string
  /** What it has measured so far. */
  report(): Promise<Snapshot>
  /**
   * Leaves the work to the other processes, so that no client meets an error: takes no new connections, has every reply end its
   * connection, and waits for those that are open: until idle ones have timed out, or in a hurry as long as at a stop. Then it
   * closes everything. Never rejects.
   */
  leave(how: { hurried: boolean }): Promise<void>
  /** As of a server that is alone; it puts an end to the waiting of one that is leaving. */
  stop(): Promise<void>
}

/**
 * The server, from settings to listeners.
 * @throws ConfigError with every fault; SealError if the secret does not fit the database; Unreachable if the database
 * does not answer for a minute, or refuses the connection; ListenError.
 */
export async function serve(env: Env): Promise<RunningServer> {
  const { config, url, metricsUrl, log, stop } = await open(env, ALONE)
  log.info({ url, metricsUrl, issuer: config.ISSUER, ms: Math.round(performance.now()) }, 'ready')
  return { config, url, metricsUrl, stop }
}

/** The same as one of several processes, which have one listener for metrics between them. @throws as `serve`. */
export async function servePart(env: Env, part: Part): Promise<RunningPart> {
  const { config, url, registry, app, lifecycle, log, stop } = await open(env, part)
  const stopped = new AbortController()
  return {
    url,
    report: () => registry.getMetricsAsJSON(),
    leave: async ({ hurried }) => {
      log.info('leaving the work to the other processes')
      const patienceMs = (hurried ? config.SHUTDOWN_DELAY_SECONDS : config.KEEP_ALIVE_SECONDS + 5) * SECOND
      await stepAside(app, lifecycle, { patienceMs, hurry: stopped.signal })
      await stop()
    },
    stop: () => {
      stopped.abort()
      return stop()
    },
  }
}

async function open(env: Env, part: Part) {
  const parsed = parseConfig(env)
  const { secrets, warnings } = parsed
  const config = shareOf(parsed.config, part)
  const isAlone = part.of === 1
  const log = createLog(config, isAlone ? undefined : 'shared')
  if (part.leads()) for (const warning of warnings) log.warn(warning)
  const templates = templatesOf(config)

  const whenUp = patience(log, describeTarget(parsed.database))
  const { db, refreshDb, rotationDb, shards, pools, close } = await whenUp(async () => {
    await judgeDatabaseLink(parsed)
    const applied = await migrateOrWait(log, secrets.databaseUrl)
    if (applied.length > 0) log.info({ applied }, 'the schema was brought up to date')
    return await connectServer({
      url: secrets.databaseUrl,
      size: config.DATABASE_POOL_SIZE,
      onIdleError: (error) => log.warn({ err: error }, 'an idle connection to the database broke'),
      onMoved: (host) => log.warn({ host }, 'another host of the database takes the connections now'),
    })
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
    const { wasSeen } = part
    const foundation = { config, db, refreshDb, rotationDb, shards, clock: clock.now, log, serverKeys, wasSeen }
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

    const counting = countVerifiers(deps, part.leads)
    closing.push(() => counting.stop())

    const due = prunings(config)
    const pruning = repeat(log, {
      name: 'prune',
      everyMs: PRUNE_EVERY_MS,
      work: async () => {
        if (part.leads()) log.info({ deleted: await prune(deps, due) }, 'pruned')
      },
    })
    closing.push(() => pruning.stop())

    const mailer = createMailer({ ...deps, templates }, secrets.smtpUrl)
    closing.push(() => mailer.close())
    const worker = startWorker(deps, handlers({ ...deps, mailer }))
    registerGauges(deps, { pools, clock, activeSince: keys.activeSince, outboxDue: worker.oldestDue })

    const lifecycle: Lifecycle = { stopping: false }
    const app = createApp(deps, lifecycle)
    const { registry } = deps.metrics
    const metricsServer = isAlone ? createMetricsServer({ registry, log }) : undefined
    if (metricsServer) closing.push(() => closeServer(metricsServer))
    closing.push(() => Promise.all([drain(app, config, lifecycle), worker.stop(FINISH_DELIVERIES_MS)]))
    await Promise.all([
      opening({ host: 'HOST', port: 'PORT' }, config, app.listen({ host: config.HOST, port: config.PORT })),
      metricsServer && openMetrics(metricsServer, config),
      part.leads() &&
        record(db, byServer(clock.now()), {
          type: 'server.started',
          outcome: 'success',
          details: { settings: { ...parsed.config } },
        }),
    ])

    let stopped: Promise<void> | undefined
    const stop = async () => {
      log.info('stopping')
      await closeAll()
      log.info('stopped')
    }
    return {
      config,
      log,
      app,
      lifecycle,
      registry,
      url: urlOf(config.HOST, app.server),
      metricsUrl: metricsServer ? urlOf(config.METRICS_HOST, metricsServer) : '',
      stop: () => (stopped ??= stop()),
    }
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
