import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { settings } from '../src/config/config.ts'
import { end, LONGEST, plainEnvironment, start } from './children.ts'
import { createConnection } from './connection.ts'

export interface Server {
  port: number
  pid: number
  /** Milliseconds from the start of the process to the first 200 of /readyz. */
  readyAfterMs: number
  stop(signal?: NodeJS.Signals): Promise<void>
}

export interface ServerOptions {
  databaseUrl: string
  secret: string
  /** Tokens name it, and requests come for its host, whatever the port that a replica listens on. */
  issuer: string
  env?: Record<string, string>
  /** Per address and per session. Raised unless the default ones are wanted: a load comes from one address. */
  limits?: 'default'
  nodeArgs?: string[]
  /** File that its log is appended to. */
  log: string
}

const main = join(import.meta.dirname, '..', 'src', 'main.ts')
const limits = Object.keys(settings).filter((name) => name.startsWith('RATE_LIMIT_'))
const raisedLimits = Object.fromEntries(limits.map((name) => [name, '1000000']))

/** The server as in production, with its log and its checks. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const port = await freePort()
  const env = {
    ...plainEnvironment(),
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    PORT: String(port),
    METRICS_PORT: '0',
    ISSUER: options.issuer,
    AUDIENCE: 'bench',
    DATABASE_URL: options.databaseUrl,
    CLAVIGER_SECRET: options.secret,
    // As in the image, and so is the option below.
    MALLOC_ARENA_MAX: '1',
    NODE_COMPILE_CACHE: compiledOnce(join(dirname(options.log), 'compile-cache')),
    ...(options.limits === 'default' ? {} : raisedLimits),
    ...options.env,
  }
  const log = openSync(options.log, 'a')
  const startedAt = performance.now()
  const child = start(['--max-semi-space-size=4', ...(options.nodeArgs ?? []), main], {
    stdio: ['ignore', log, 'inherit'],
    env,
  })
  closeSync(log)
  while (!(await isReady(port, options.issuer))) {
    if (child.exitCode !== null || performance.now() - startedAt > 30_000) {
      throw new Error(`the server did not start:\n${readFileSync(options.log, 'utf8').slice(-2000)}`)
    }
    await sleep(5)
  }
  return {
    port,
    pid: child.pid as number,
    readyAfterMs: performance.now() - startedAt,
    stop: (signal) => end(child, signal),
  }
}

/** With the Dockerfile's command. A server would not fill it: Node writes it at exit, and what is killed writes nothing. */
function compiledOnce(cache: string): string {
  if (!existsSync(cache)) {
    const text = ['main.ts', 'serve.ts', 'processes/primary.ts', 'processes/worker.ts', 'cli/main.ts']
      .map((file) => `await import('${join(dirname(main), file)}');`)
      .join(' ')
    const env = { ...plainEnvironment(), NODE_COMPILE_CACHE: cache }
    execFileSync(process.execPath, ['--input-type=module', '-e', text], { env, timeout: LONGEST * 1000 })
  }
  return cache
}

async function isReady(port: number, issuer: string): Promise<boolean> {
  const connection = createConnection(port)
  const request = `GET /readyz HTTP/1.1\r\nhost: ${new URL(issuer).host}\r\n\r\n`
  const answer = await connection.send(request).catch(() => undefined)
  connection.close()
  return answer?.status === 200
}

/** Free at this moment; the time until it is used is short. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  await once(probe, 'close')
  return port
}
