import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { main } from '../../src/cli/main.ts'
import { settings } from '../../src/config/config.ts'
import { createTestCli, run } from './support.ts'

interface Shown {
  settings: { name: string; value: unknown; source: string; fault: string | null }[]
  faults: { name: string }[]
}

const SECRET = randomBytes(32).toString('base64')
const env = {
  DATABASE_URL: 'postgres://someone:h4rd-to-guess@db.internal/claviger?sslmode=disable',
  CLAVIGER_SECRET: SECRET,
  PORT: '4000',
}

test('every setting is shown with its source, and no secret', async () => {
  const { code, out } = await run(['config', '--json'], { env })
  expect(code).toBe(0)
  const shown = JSON.parse(out) as Shown
  expect(shown.settings.map(({ name }) => name)).toEqual(Object.keys(settings))
  const one = (name: string) => shown.settings.find((setting) => setting.name === name)
  expect(one('PORT')).toEqual({ name: 'PORT', value: 4000, source: 'environment', fault: null })
  expect(one('ISSUER')).toEqual({ name: 'ISSUER', value: 'http://localhost:4000', source: 'default', fault: null })
  expect(one('DATABASE_URL')?.value).toBe('db.internal:5432/claviger (user and password not shown)')
  expect(one('CLAVIGER_SECRET')?.value).toMatch(/^fingerprint [0-9a-f]{16}$/)
  const human = await run(['config'], { env })
  for (const text of [out, human.out]) {
    expect(text).not.toContain('h4rd-to-guess')
    expect(text).not.toContain('someone')
    expect(text).not.toContain(SECRET)
  }
})

test('a value that did not come from the environment is said to come from where it did', async () => {
  const written: string[] = []
  const stdout = new Writable({
    write: (chunk, _encoding, done) => {
      written.push(String(chunk))
      done()
    },
  })
  const given: Record<string, string> = { PORT: '4000', LOG_LEVEL: '' }
  const fill = async () => {
    Object.assign(given, env, { PORT: '4000', ACCESS_TOKEN_SECONDS: '60', REGISTRATION: '' })
    return {
      DATABASE_URL: '.claviger',
      CLAVIGER_SECRET: '.claviger',
      ACCESS_TOKEN_SECONDS: '.env',
      REGISTRATION: '.env',
    }
  }
  expect(await main(['config', '--json'], given, { stdin: process.stdin, stdout, stderr: stdout }, fill)).toBe(0)
  const { settings: rows } = JSON.parse(written.join('')) as Shown
  const sources = Object.fromEntries(rows.map(({ name, source }) => [name, source]))
  expect(sources).toMatchObject({
    PORT: 'environment',
    ACCESS_TOKEN_SECONDS: '.env',
    DATABASE_URL: '.claviger',
    CLAVIGER_SECRET: '.claviger',
    LOG_LEVEL: 'default',
    REGISTRATION: 'default',
    KEY_BITS: 'default',
  })
})

test('an empty list is told as what it means', async () => {
  const row = async (name: string, more: Record<string, string> = {}) =>
    (await run(['config'], { env: { ...env, ...more } })).out.split('\n').find((line) => line.startsWith(`${name} `))
  expect(await row('ALLOWED_HOSTS')).toMatch(/ default +any$/)
  expect(await row('TRUSTED_PROXIES')).toMatch(/ default +nobody$/)
  expect(await row('ALLOWED_ORIGINS')).toMatch(/ default +the issuer’s own, and http:\/\/localhost on any port$/)
  const production = { NODE_ENV: 'production', ISSUER: 'https://auth.example.com' }
  expect(await row('ALLOWED_ORIGINS', production)).toMatch(/ default +the issuer’s own$/)
  expect(await row('ALLOWED_HOSTS', { ALLOWED_HOSTS: 'a.example' })).toMatch(/ environment +a\.example$/)
})

test('faults are listed without their values', async () => {
  const faulty = { ...env, CLAVIGER_SECRET: 'way-too-short', ACCESS_TOKEN_SECONDS: '99999' }
  const { code, out } = await run(['config', '--json'], { env: faulty })
  expect(code).toBe(78)
  const shown = JSON.parse(out) as Shown
  expect(shown.faults.map(({ name }) => name).toSorted()).toEqual(['ACCESS_TOKEN_SECONDS', 'CLAVIGER_SECRET'])
  expect(shown.settings.find(({ name }) => name === 'PORT')?.value).toBe(4000)
  const human = await run(['config'], { env: faulty })
  expect(human.out).toContain('✗ ACCESS_TOKEN_SECONDS must be a whole number from 5 to 3600')
  for (const text of [out, human.out]) expect(text).not.toMatch(/way-too-short|99999|h4rd-to-guess/)
})

test.each([['config'], ['config', '--json'], ['doctor'], ['users', 'list'], ['migrate']])(
  'of a database URL with a fault no piece is shown: %s %s',
  async (...args) => {
    const faulty = { ...env, DATABASE_URL: 'postgres://u:Tr0ub4dor@Horse#staple@127.0.0.1/d' }
    const { out, err } = await run(args, { env: faulty })
    expect(out + err).toContain('# is written %23')
    expect(out + err).not.toMatch(/Tr0ub4dor|Horse|staple/)
  },
)

test('what protects the way to the database is said', async () => {
  const shown = async (settings: Record<string, string>) => {
    const { code, out } = await run(['config', '--json'], { env: { ...env, PORT: '3000', ...settings } })
    const { notes, warnings, faults } = JSON.parse(out) as Shown & { notes: string[]; warnings: string[] }
    return { code, notes, warnings, faults: faults.map(({ name }) => name) }
  }
  const inside = 'DATABASE_URL: plain text to 2130706433 (127.0.0.1), which the Internet does not reach'
  const outside = 'DATABASE_URL: plain text to 3221225985 (192.0.2.1), which is not inside a private network'
  // Addresses as one number: names that resolve on every machine.
  expect(await shown({ DATABASE_URL: 'postgres://u:p@2130706433/d' })).toMatchObject({ code: 0, notes: [inside] })
  const open = { DATABASE_URL: 'postgres://u:p@3221225985/d' }
  expect(await shown(open)).toMatchObject({ code: 0, notes: [], warnings: [outside], faults: [] })
  const production = { NODE_ENV: 'production', ISSUER: 'https://auth.example.com' }
  expect(await shown({ ...open, ...production })).toMatchObject({ code: 78, faults: ['DATABASE_URL'] })
  expect((await shown({ DATABASE_URL: 'postgres://u:p@nowhere.invalid/d' })).warnings).toEqual([
    expect.stringContaining('nowhere.invalid does not resolve yet'),
  ])
})

test('a fault of two settings together shows both values', async () => {
  const { code, out } = await run(['config'], { env: { ...env, METRICS_PORT: '4000' } })
  expect(code).toBe(78)
  expect(out).toContain('✗ METRICS_PORT must differ from PORT')
})

test('names that look like settings and are none are pointed out, with faults and without', async () => {
  const sentence = 'ALLOWED_ORIGIN is not a setting; ALLOWED_ORIGINS is'
  const misspelt = { ...env, ALLOWED_ORIGIN: 'https://h4rd-to-guess.example.com' }
  for (const settings of [misspelt, { ...misspelt, PORT: 'x' }]) {
    for (const command of ['config', 'doctor']) {
      const { out } = await run([command], { env: settings })
      expect(out).toMatch(new RegExp(`! .*${sentence}`))
      expect(out).not.toContain('h4rd-to-guess')
    }
  }
  expect((await run(['users', 'list'], { env: { ...misspelt, PORT: 'x' } })).err).toContain(sentence)
})

test('secrets may come from files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'claviger-config-'))
  try {
    await writeFile(join(folder, 'secret'), SECRET)
    const { CLAVIGER_SECRET: _, ...rest } = env
    const { out } = await run(['config', '--json'], { env: { ...rest, CLAVIGER_SECRET_FILE: join(folder, 'secret') } })
    expect((JSON.parse(out) as Shown).settings.find(({ name }) => name === 'CLAVIGER_SECRET')).toMatchObject({
      source: 'file',
      fault: null,
    })
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('migrate and prune say what they did', async () => {
  await using cli = await createTestCli()
  expect(await cli.json(['migrate'])).toEqual({ applied: [] })
  expect((await cli.run(['migrate'])).out).toBe('The schema is up to date.\n')
  expect(await cli.json(['prune'])).toEqual({
    deleted: {
      families: 0,
      revocations: 0,
      rate_limits: 0,
      login_failures: 0,
      client_failures: 0,
      assertion_ids: 0,
      login_sprays: 0,
      one_time_codes: 0,
      mail_counts: 0,
      outbox: 0,
      verifiers: 0,
      audit: 0,
    },
  })
})
