import type { Config } from '../config/config.ts'
import { closeServer, urlOf } from '../http/server/listeners.ts'
import { createMetricsServer, openMetrics } from '../http/server/metrics.ts'
import { createLog } from '../log.ts'
import { createProcessMetrics } from '../metrics.ts'
import { threadsFor } from '../threads.ts'
import { type Crew, startCrew } from './crew.ts'
import { endWhenTold, refuseToStart } from './endings.ts'
import { createTotals } from './totals.ts'

/**
 * Starts the processes of a server that has several, and keeps them. It serves nothing but their metrics, and knows no secret beyond
 * what the environment holds, which it has to hand to each that it starts.
 */
export async function runPrimary(config: Config): Promise<void> {
  const log = createLog(config, 'shared')
  const totals = createTotals()
  let crew: Crew | undefined
  const metrics = createProcessMetrics(() => crew?.serving() ?? 0, config.PROCESSES)
  const scraped = {
    contentType: metrics.registry.contentType,
    metrics: async () => {
      await crew?.ask()
      return await totals.text(await metrics.registry.getMetricsAsJSON())
    },
  }
  const metricsServer = createMetricsServer({ registry: scraped, log })

  let ending = false
  const end = async (code: number) => {
    if (ending) return
    ending = true
    log.info('stopping')
    await crew?.stop()
    await closeServer(metricsServer)
    log.info('stopped')
    process.exit(code)
  }
  endWhenTold(
    'shared',
    (code) => void end(code),
    () => crew?.kill(),
  )
  // Before any process is started: a port that is in use is told at once.
  await openMetrics(metricsServer, config).catch((error: unknown) => refuseToStart('shared', error))
  if (ending) return
  crew = startCrew({
    config,
    log,
    totals,
    env: threadsFor(config.PROCESSES),
    metrics,
    onComplete: (url) => {
      const metricsUrl = urlOf(config.METRICS_HOST, metricsServer)
      const { ISSUER: issuer, PROCESSES: processes } = config
      log.info({ url, metricsUrl, issuer, processes, ms: Math.round(performance.now()) }, 'ready')
    },
    onGiveUp: (code) => void end(code),
  })
}
