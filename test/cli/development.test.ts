import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { promisify } from 'node:util'
import { describe, expect, test, vi } from 'vitest'
import { explain } from '../../dev/explain.ts'
import { tryNext } from '../../dev/try-next.ts'
import { main } from '../../src/cli/main.ts'
import { ConfigError, parseConfig } from '../../src/config/parse.ts'
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
    const fill = vi.fn(async () => ({}))
    await main(argv, {}, streams().io, fill)
    expect(fill).not.toHaveBeenCalled()
  })

  test.each([[['users', 'list']], [['config']], [['doctor']], [['migrate']]])('is made once for %j', async (argv) => {
    await using cli = await createTestCli()
    const { io, written } = streams()
    const env: Record<string, string> = {}
    const fill = vi.fn(async () => {
      Object.assign(env, cli.env)
      return {}
    })
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

describe('what npm start prints', () => {
  const listening = { url: 'http://127.0.0.1:3000', metricsUrl: 'http://127.0.0.1:9464' }
  const banner = (env: Record<string, string>, where = listening) => {
    const stated = { DATABASE_URL: 'postgres://u:p@127.0.0.1/d', CLAVIGER_SECRET: randomBytes(32).toString('base64') }
    return tryNext({ ...where, config: parseConfig({ ...stated, ...env }).config })
  }

  test('is the issuer, which keeps the cookie where 127.0.0.1 would lose it', () => {
    expect(banner({})).toMatch(/^ {2}issuer +http:\/\/localhost:3000$/m)
    expect(banner({})).toContain('curl -s http://localhost:3000/register')
    expect(banner({}).replace(/^ {2}metrics.*$/m, '')).not.toContain('127.0.0.1')
    const everywhere = { ...listening, url: 'http://0.0.0.0:3000' }
    expect(banner({ HOST: '0.0.0.0' }, everywhere)).toContain('curl -s http://localhost:3000/register')
  })

  test('is also where the server listens, if the issuer is somewhere else', () => {
    for (const ISSUER of ['https://auth.example.com', 'http://localhost:4000']) {
      expect(banner({ ISSUER })).toContain(`${ISSUER} (this server listens on http://127.0.0.1:3000)`)
      expect(banner({ ISSUER })).toContain('curl -s http://127.0.0.1:3000/register')
    }
  })

  test('names the pages that may use it, and the setting for others', () => {
    expect(banner({})).toMatch(/^ {2}pages +http:\/\/localhost, on any port; name others in ALLOWED_ORIGINS$/m)
    const stated = banner({ ALLOWED_ORIGINS: 'http://localhost:5173,http://two.localhost' })
    expect(stated).toMatch(/^ {2}pages +http:\/\/localhost:5173, http:\/\/two\.localhost, as ALLOWED_ORIGINS says$/m)
  })

  test('names the services that tokens are for, and the setting for others', () => {
    expect(banner({})).toMatch(/^ {2}tokens +for the issuer itself; name services in AUDIENCE$/m)
    expect(banner({ AUDIENCE: 'orders,stock' })).toMatch(/^ {2}tokens +for orders, stock, as AUDIENCE says$/m)
  })

  test('leads to nothing that is switched off', () => {
    expect(banner({})).toContain('/docs')
    expect(banner({ DOCS: 'false' })).not.toContain('/docs')
    expect(banner({})).toMatch(/^ {2}people +http:\/\/localhost:3000\/account\/register$/m)
    expect(banner({ REGISTRATION: 'invite' })).toMatch(/^ {2}people +http:\/\/localhost:3000\/account\/sign-in$/m)
    expect(banner({ PAGES: 'off' })).not.toContain('/account/')
  })

  test('proves the address before it signs in, where that is required', () => {
    expect(banner({})).not.toContain('/email/verify')
    const asked = banner({ EMAIL_VERIFICATION: 'required' }).matchAll(/curl -s http:\/\/localhost:3000(\S+) -H/g)
    expect([...asked].map(([, path]) => path)).toEqual(['/register', '/email/verify', '/login', '/refresh'])
  })
})
