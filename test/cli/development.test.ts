import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { promisify } from 'node:util'
import { describe, expect, test, vi } from 'vitest'
import { explain } from '../../dev/explain.ts'
import { main } from '../../src/cli/main.ts'
import { ConfigError } from '../../src/config.ts'
import { SealError } from '../../src/keys/sealing.ts'
import { createTestCli } from './support.ts'

// npm start and npm run cli make a database and a secret, and tell what is wrong with them.

function streams() {
  const written: string[] = []
  const sink = new Writable({
    write: (chunk, _encoding, done) => {
      written.push(String(chunk))
      done()
    },
  })
  return { io: { stdin: new PassThrough().end(), stdout: sink, stderr: sink }, written }
}

describe('what settings need', () => {
  test.each([
    [[]],
    [['help']],
    [['help', 'users', 'create']],
    [['--version']],
    [['users', 'create', '--help']],
    [['users']],
    [['nonsense']],
    [['users', 'create']],
    [['users', 'list', '--nonsense']],
    [['users', 'create', 'a@example.com', '--password=x']],
    [['users', 'create', 'not an address']],
    [['users', 'claims', 'a@example.com', '--set', 'x']],
    [['users', 'list', '--limit', '0']],
    [['sessions', 'end']],
    [['sessions', 'why', 'not-an-id']],
  ])('is not made for %j', async (argv) => {
    const fill = vi.fn(async () => {})
    await main(argv, {}, streams().io, fill)
    expect(fill).not.toHaveBeenCalled()
  })

  test.each([[['users', 'list']], [['config']], [['doctor']], [['migrate']]])('is made once for %j', async (argv) => {
    await using cli = await createTestCli()
    const { io, written } = streams()
    const env: Record<string, string> = {}
    const fill = vi.fn(async () => void Object.assign(env, cli.env))
    expect(await main(argv, env, io, fill), written.join('')).toBe(0)
    expect(fill).toHaveBeenCalledTimes(1)
  })

  test.each([
    ['help', 0],
    ['nonsense', 2],
  ])('npm run cli -- %s starts no PostgreSQL', async (word, code) => {
    const found = await promisify(execFile)(process.execPath, [
      join(import.meta.dirname, '../../dev/cli.ts'),
      word,
    ]).then(
      ({ stderr }) => ({ code: 0, stderr }),
      (error: { code: number; stderr: string }) => error,
    )
    expect(found.code).toBe(code)
    expect(found.stderr).not.toContain('PostgreSQL')
  })
})

test('what stops npm start is told without a stack, unless the program is at fault', () => {
  expect(explain(new SealError('a-kid', 'the row was altered'))).toMatch(
    /^claviger: CLAVIGER_SECRET does not open the signing key a-kid: [^\n]*$/,
  )
  expect(explain(new ConfigError([{ name: 'ISSUER', message: 'must be https' }]))).not.toContain('    at ')
  expect(explain(Object.assign(new Error('password authentication failed'), { code: '28P01' }))).not.toContain(
    '    at ',
  )
  expect(explain(new TypeError('x is not a function'))).toContain('    at ')
})
