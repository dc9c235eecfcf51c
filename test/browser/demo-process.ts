import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect } from 'vitest'
import { testEnvironment } from '../support/app.ts'
import { noteSecret } from '../support/canary.ts'
import { freePort } from '../support/server.ts'

const file = join(import.meta.dirname, '../../dev/demo.ts')

/** `npm run demo` on free ports. */
export async function startDemo(databaseUrl: string, settings: Record<string, string> = {}) {
  const [PORT, ORDERS_PORT, SPA_PORT] = await Promise.all([freePort(), freePort(), freePort()])
  const child = spawn(process.execPath, [file], {
    env: {
      PATH: process.env.PATH ?? '',
      ...testEnvironment(databaseUrl),
      LOG_LEVEL: 'warn',
      PORT: String(PORT),
      ORDERS_PORT: String(ORDERS_PORT),
      SPA_PORT: String(SPA_PORT),
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)))
  const ended = once(child, 'exit').then(([code]) => code as number | null)
  const printed = (what: RegExp) =>
    expect.poll(() => output.match(what)?.[1], { timeout: 40_000, message: what.source }).toBeDefined()
  return {
    printed,
    output: () => output,
    ended,
    ports: { PORT, ORDERS_PORT, SPA_PORT },
    password: () => {
      const password = /demo@example\.com +(\S+)/.exec(output)?.[1] ?? ''
      noteSecret(password)
      return password
    },
    stop: () => {
      child.kill('SIGTERM')
      return ended
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}
