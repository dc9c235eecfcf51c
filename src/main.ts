#!/usr/bin/env node
// oxlint-disable-next-line import/no-unassigned-import -- its effect must come before all other imports
import './threads.ts'
import cluster from 'node:cluster'
import { parseConfig } from './config/parse.ts'
import { endWhenTold, refuseToStart } from './processes/endings.ts'
import type { RunningServer } from './serve.ts'

/**
 * Runs the server as a process, or as several (PROCESSES). It ends with 0 after a signal, 1 after an uncaught error, 78 with
 * a wrong setting.
 *
 * Each kind of process loads what it needs: the one that starts the others serves nothing.
 */
export async function run(): Promise<void> {
  if (cluster.isWorker) return await (await import('./processes/worker.ts')).runWorker(process.env)
  const several = severalProcesses()
  if (!several) return await runAlone()
  const { runPrimary } = await import('./processes/primary.ts')
  await runPrimary(several)
}

/** The settings, where they want more than one process. */
function severalProcesses() {
  try {
    const { config } = parseConfig(process.env)
    return config.PROCESSES > 1 ? config : undefined
  } catch (error) {
    refuseToStart(undefined, error)
  }
}

async function runAlone(): Promise<void> {
  let server: RunningServer | undefined
  endWhenTold(undefined, (code) => {
    if (!server) process.exit(code)
    void server.stop().then(() => process.exit(code))
  })
  try {
    const { serve } = await import('./serve.ts')
    server = await serve(process.env)
  } catch (error) {
    refuseToStart(undefined, error)
  }
}

if (import.meta.main) await run()
