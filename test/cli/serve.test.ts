import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { testEnvironment } from '../support/app.ts'
import { cloneDatabase } from '../support/postgres.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

function start(args: string[], env: Record<string, string>): { child: ChildProcess; output(): string } {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += String(chunk)))
  return { child, output: () => output }
}

test('serve answers until SIGTERM, then ends with 0', async () => {
  const database = await cloneDatabase()
  const { child, output } = start(['serve'], {
    ...testEnvironment(database.url),
    LOG_LEVEL: 'info',
    PORT: '0',
    METRICS_PORT: '0',
    ISSUER: 'http://localhost:3000',
  })
  try {
    await expect.poll(output, { timeout: 15_000 }).toContain('"msg":"ready"')
    const ready =
      output()
        .split('\n')
        .find((line) => line.includes('"msg":"ready"')) ?? ''
    const { url } = JSON.parse(ready) as { url: string }
    expect((await fetch(`${url}/livez`)).status).toBe(200)
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
  } finally {
    child.kill('SIGKILL')
    await database.drop()
  }
})

test('run as a program, the exit code is that of the command', async () => {
  const faulty = start(['serve'], { PORT: '70000' })
  expect(await once(faulty.child, 'close')).toEqual([78, null])
  expect(faulty.output()).toContain('PORT')
  const unknown = start(['nonsense'], {})
  expect(await once(unknown.child, 'close')).toEqual([2, null])
})
