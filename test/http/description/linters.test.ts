import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { OpenApi } from '../../../src/http/description/shapes.ts'
import { createTestApp } from '../../support/app.ts'

// What others find in the description. What a linter is told to overlook stands in its file here, with the reason.

const bin = join(import.meta.dirname, '../../../node_modules/.bin')
const rules = (name: string) => join(import.meta.dirname, `${name}.yaml`)
const LINTERS: Record<string, (file: string) => string[]> = {
  spectral: (file) => ['lint', '--fail-severity', 'hint', '--ruleset', rules('spectral'), file],
  redocly: (file) => ['lint', '--config', rules('redocly'), file],
}

let folder: string
let api: OpenApi
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'claviger-description-'))
  await using t = await createTestApp({ env: { ISSUER: 'https://auth.claviger.test', DOCS: 'true' } })
  api = (await t.inject({ url: '/openapi.json' })).json<OpenApi>()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** What the linter ended with, and what it said. */
async function lint(name: string, described: OpenApi): Promise<{ code: number | string; output: string }> {
  const file = join(folder, `${name}.json`)
  await writeFile(file, JSON.stringify(described))
  const quiet = { REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', NO_COLOR: '1' }
  const options = { env: { ...process.env, ...quiet }, cwd: folder }
  return await new Promise((resolve) => {
    execFile(process.execPath, [join(bin, name), ...(LINTERS[name]?.(file) ?? [])], options, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, output: stdout + stderr }),
    )
  })
}

describe.each(Object.keys(LINTERS))('%s', { timeout: 60_000 }, (name) => {
  test('finds nothing', async () => {
    const { code, output } = await lint(name, api)
    expect([code, output]).toEqual([0, expect.not.stringMatching(/\bwarning\b/i)])
  })

  test('would find an operation without words and a path without its parameter', async () => {
    const broken = structuredClone(api)
    delete broken.paths['/me']?.get?.summary
    delete broken.paths['/me']?.get?.description
    delete broken.paths['/sessions/{id}']?.delete?.parameters
    const { code, output } = await lint(name, broken)
    expect(code).not.toBe(0)
    expect(output).toMatch(/operation-(summary|description)/)
    expect(output).toContain('{id}')
  })
})
