import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { testEnvironment } from './app.ts'
import { noteSecretsOf } from './canary.ts'
import { collecting } from './statements/collect.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export interface RunningProcess extends AsyncDisposable {
  url: string
  metricsUrl: string
  process: ChildProcess
  /** Standard output and error so far. */
  output(): string
  /** Asks it to end. @returns its exit code. */
  stop(): Promise<number | null>
  /** As a power cut would. */
  kill(): Promise<void>
}

/** `node src/main.ts` on a free port, once it says that it is ready. */
export async function startServer(options: {
  databaseUrl: string
  env?: Record<string, string>
  timeoutMs?: number
  /** Gets what the server has written so far, before it is ready. */
  onOutput?: (output: () => string) => void
}): Promise<RunningProcess> {
  const port = await freePort()
  const { child, output, exited } = spawnServer({
    ...testEnvironment(options.databaseUrl),
    LOG_LEVEL: 'info',
    HOST: '127.0.0.1',
    PORT: String(port),
    METRICS_PORT: '0',
    ...options.env,
  })
  options.onOutput?.(output)
  const deadline = performance.now() + (options.timeoutMs ?? 60_000)
  let ready: { url: string; metricsUrl: string } | undefined
  while (!ready) {
    if (child.exitCode !== null || performance.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`the server did not become ready:\n${output()}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
    const line = output()
      .split('\n')
      .find((each) => each.includes('"msg":"ready"'))
    if (line) ready = JSON.parse(line) as { url: string; metricsUrl: string }
  }
  const kill = async () => {
    child.kill('SIGKILL')
    await exited
  }
  return {
    url: ready.url,
    metricsUrl: ready.metricsUrl,
    process: child,
    output,
    stop: () => {
      child.kill('SIGTERM')
      return exited
    },
    kill,
    [Symbol.asyncDispose]: kill,
  }
}

/** What the program itself does not read: where commands are, and where Node keeps what it has compiled. */
const { PATH = '', NODE_COMPILE_CACHE = '' } = process.env

/** Starts the process with exactly these settings, and waits for nothing. @param script another way to start it. */
export function spawnServer(
  env: Record<string, string>,
  script = MAIN,
): {
  child: ChildProcess
  output: () => string
  exited: Promise<number | null>
} {
  noteSecretsOf(env)
  const child = spawn(process.execPath, [...collecting(), script], {
    env: { PATH, NODE_COMPILE_CACHE, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  let text = ''
  const collect = (chunk: Buffer) => {
    text += chunk.toString()
    if (process.env.TEST_LOG_FILE) appendFileSync(process.env.TEST_LOG_FILE, chunk)
  }
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  return { child, output: () => text, exited }
}

const PORTS_EACH = 1500
const ports = {
  from: 20_000 + (Number(process.env.VITEST_POOL_ID ?? 0) % 8) * PORTS_EACH,
  next: randomInt(PORTS_EACH),
}

/**
 * A port for something that must know it before it listens. Below those that the system gives to connections (from 32768 on Linux,
 * 49152 elsewhere): one of these would be somebody's by the time it is used. Each worker of a run has its own, and takes one
 * after the other: until it listens, a port looks free to everybody.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = ports.from + (ports.next++ % PORTS_EACH)
    const server = createServer()
    try {
      await once(server.listen(port, '127.0.0.1'), 'listening')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') continue
      throw error
    }
    server.close()
    await once(server, 'close')
    return port
  }
}
