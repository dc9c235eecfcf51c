// npm start: the server with everything it needs, for development and for a first look.
import { createServer } from 'node:net'
import { ListenError } from '../src/http/server/listeners.ts'
import { fillEnvironment } from './environment.ts'
import { explain } from './explain.ts'
import { tryNext } from './try-next.ts'

const say = (line: string): void => console.log(`claviger: ${line}`)

let stopServer: (() => Promise<void>) | undefined
let closeDatabase: (() => Promise<void>) | undefined
let stopping = false
let firstSignalAt = 0

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)

function onSignal(): void {
  // Ctrl-C arrives twice, from the terminal and from the wrapper that passes signals on. Later ones mean: now.
  if (stopping && performance.now() - firstSignalAt > 1000) process.exit(1)
  if (stopping) return
  stopping = true
  firstSignalAt = performance.now()
  end(0)
}

function end(code: number): void {
  const ended = async (): Promise<void> => {
    await stopServer?.()
    await closeDatabase?.()
  }
  ended().then(
    () => process.exit(code),
    (error: Error) => {
      console.error(`claviger: ${error.message}`)
      process.exit(1)
    },
  )
}

async function start(): Promise<void> {
  const env = process.env
  closeDatabase = (await fillEnvironment(env, say)).close
  if (stopping) return end(0)
  if (env.PROCESSES && env.PROCESSES !== '1')
    say('one process, whatever PROCESSES says: npm run cli -- serve starts several')
  // A second server on this machine needs only another PORT: it chooses the port for its metrics itself.
  const metricsPort = 9464
  const chooses = env.NODE_ENV !== 'production' && !env.METRICS_PORT
  if (chooses && !(await isFree(metricsPort))) env.METRICS_PORT = '0'

  const { serve } = await import('../src/serve.ts')
  const server = await serve(env).catch((error: Error) => {
    if (!(error instanceof ListenError) || error.setting !== 'METRICS_PORT' || !chooses) throw error
    env.METRICS_PORT = '0'
    return serve(env)
  })
  stopServer = server.stop
  if (stopping) return end(0)
  if (env.NODE_ENV !== 'production') console.log(tryNext(server))
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const probe = createServer()
    probe.once('error', () => done(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)))
  })
}

start().catch((error: Error) => {
  console.error(explain(error))
  end(1)
})
