import { ConfigError } from '../config/parse.ts'
import { createLog } from '../log.ts'
import { EXIT_CONFIG } from './restarts.ts'

/** Where a process writes: standard output that others share, or one of its own. */
export type Output = 'shared' | undefined

/**
 * Calls `end` once: with 0 at the first signal, or with 1 at an error that nothing caught. Another signal ends the process at once.
 * @param atOnce is called before that.
 */
export function endWhenTold(output: Output, end: (code: 0 | 1) => void, atOnce?: () => void): void {
  let ending = false
  const begin = (code: 0 | 1) => {
    ending = true
    end(code)
  }
  const signalled = () => {
    if (!ending) return begin(0)
    atOnce?.()
    process.exit(1)
  }
  process.on('SIGTERM', signalled)
  process.on('SIGINT', signalled)
  const crash = (error: unknown) => {
    if (ending) return
    createLog({ LOG_LEVEL: 'fatal' }, output).fatal({ err: error }, 'an error that nothing caught; stopping')
    begin(1)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
}

/** Says why there is no server, and ends the process with 78 for a wrong setting, else with 1. */
export function refuseToStart(output: Output, error: unknown): never {
  if (error instanceof ConfigError) {
    process.stderr.write(`${error.message}\n`)
    process.exit(EXIT_CONFIG)
  }
  createLog({ LOG_LEVEL: 'fatal' }, output).fatal({ err: error }, 'the server could not start')
  process.exit(1)
}
