import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { waitForPort } from '../interop/gateway.ts'
import { freePort } from '../support/server.ts'
import type { Recipe } from './page.ts'

export interface Service extends AsyncDisposable {
  url: string
  port: number
  output(): string
}

/** Of the page's command: what stands for addresses that a test has others for. */
export const written = { issuer: 'http://localhost:3000', port: '4000' }
export const ORIGIN = 'http://localhost:5173'

interface Surroundings {
  issuer: string
  /** Of the pages that may call. */
  origin?: string
  env?: Record<string, string> | undefined
  signal?: AbortSignal
}

/** Runs the command of the page in the folder with its files, against another issuer and on a free port. */
export async function startService(
  { run }: Recipe,
  folder: string,
  { issuer, origin = ORIGIN, env, signal }: Surroundings,
): Promise<Service> {
  const port = await freePort()
  const missing = [written.issuer, written.port, `ORIGINS=${ORIGIN}`].filter((each) => !run.includes(each))
  if (missing.length > 0) throw new Error(`the command of the page does not say ${missing.join()}: ${run}`)
  const command = run
    .replaceAll(ORIGIN, origin)
    .replaceAll(written.issuer, issuer)
    .replaceAll(written.port, String(port))
  // A group of its own: what the shell starts ends with it.
  const child = spawn('sh', ['-c', command], { cwd: folder, env: { ...process.env, ...env }, detached: true })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += String(chunk)))
  const closed = once(child, 'close')
  const end = () => {
    try {
      if (child.pid) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
  signal?.addEventListener('abort', end, { once: true })
  const stop = async () => {
    end()
    await closed
    signal?.removeEventListener('abort', end)
  }
  const early = closed.then(() => Promise.reject(new Error(`the service has ended:\n${output}`)))
  try {
    // A virtual machine takes its time on a busy computer.
    await waitForPort(port, early, 40)
  } catch (error) {
    await stop()
    throw error
  }
  return { url: `http://127.0.0.1:${port}`, port, output: () => output, [Symbol.asyncDispose]: stop }
}
