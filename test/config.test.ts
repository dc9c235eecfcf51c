import { randomBytes } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ConfigError, parseConfig } from '../src/config.ts'

const SECRET = randomBytes(32).toString('base64')
const DEVELOPMENT = { DATABASE_URL: 'postgres://localhost/claviger', CLAVIGER_SECRET: SECRET }
const PRODUCTION = { ...DEVELOPMENT, NODE_ENV: 'production', ISSUER: 'https://auth.example.com' }

/** Names of the settings that are refused, with what is said of them. */
function faultsOf(env: Record<string, string | undefined>): Record<string, string> {
  try {
    parseConfig(env)
    return {}
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const value of Object.values(env)) {
      if (value && value.length > 12) expect(error.message).not.toContain(value)
    }
    return Object.fromEntries(error.faults.map(({ name, message }) => [name, message]))
  }
}

test('development needs a database and a secret, production the issuer too', () => {
  expect(faultsOf(DEVELOPMENT)).toEqual({})
  expect(faultsOf(PRODUCTION)).toEqual({})
  expect(Object.keys(faultsOf({}))).toEqual(['DATABASE_URL', 'CLAVIGER_SECRET'])
  expect(Object.keys(faultsOf({ NODE_ENV: 'production' }))).toEqual(['DATABASE_URL', 'CLAVIGER_SECRET', 'ISSUER'])
})

test('defaults follow the mode and the other settings', () => {
  const development = parseConfig({ ...DEVELOPMENT, PORT: '4000' }).config
  expect(development).toMatchObject({
    ISSUER: 'http://localhost:4000',
    AUDIENCE: ['http://localhost:4000'],
    REGISTRATION: 'open',
    DOCS: true,
  })
  const production = parseConfig(PRODUCTION).config
  expect(production).toMatchObject({
    ISSUER: PRODUCTION.ISSUER,
    AUDIENCE: [PRODUCTION.ISSUER],
    REGISTRATION: 'closed',
    DOCS: false,
  })
})

test('an empty value counts as absent', () => {
  expect(parseConfig({ ...DEVELOPMENT, PORT: '', ALLOWED_ORIGINS: '', DOCS: '' }).config).toMatchObject({
    PORT: 3000,
    ALLOWED_ORIGINS: [],
    DOCS: true,
  })
})

test('all faults are named at once, and no value', () => {
  const faults = faultsOf({
    PORT: 'marker-of-a-port',
    HASH_QUEUE: '-1',
    LOG_LEVEL: 'marker-of-a-level',
    DOCS: 'yes',
    ALLOWED_ORIGINS: 'https://marker.example/path',
    CLAVIGER_SECRET: 'marker-of-a-secret',
    DATABASE_URL: 'marker-of-a-database',
  })
  expect(Object.keys(faults).toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
    'ALLOWED_ORIGINS',
    'CLAVIGER_SECRET',
    'DATABASE_URL',
    'DOCS',
    'HASH_QUEUE',
    'LOG_LEVEL',
    'PORT',
  ])
  expect(JSON.stringify(faults)).not.toContain('marker')
})

describe('the issuer', () => {
  test.each([
    'https://auth.example.com/',
    'https://auth.example.com?x=1',
    'https://auth.example.com#x',
    'https://u:p@auth.example.com',
    'https://AUTH.example.com',
    'https://auth.example.com:443',
    'ftp://auth.example.com',
    'auth.example.com',
    'https://auth.example.com/a/../b',
  ])('%s is refused', (ISSUER) => {
    expect(Object.keys(faultsOf({ ...PRODUCTION, ISSUER }))).toEqual(['ISSUER'])
    expect(Object.keys(faultsOf({ ...DEVELOPMENT, ISSUER }))).toEqual(['ISSUER'])
  })

  test.each([
    'https://auth.example.com',
    'https://example.com/auth',
    'https://auth.example.com:8443',
    'http://localhost:3000',
    'http://127.0.0.1:3000',
  ])('%s is accepted in production', (ISSUER) => {
    expect(faultsOf({ ...PRODUCTION, ISSUER })).toEqual({})
  })

  test('plain http beyond loopback is refused in production', () => {
    expect(faultsOf({ ...PRODUCTION, ISSUER: 'http://auth.example.com' })).toEqual({
      ISSUER: expect.stringContaining('https'),
    })
    expect(faultsOf({ ...DEVELOPMENT, ISSUER: 'http://auth.example.com' })).toEqual({})
  })
})

describe('the secret', () => {
  test.each([
    ['short', randomBytes(31).toString('base64')],
    ['all zero', Buffer.alloc(32).toString('base64')],
    ['one letter', 'a'.repeat(64)],
    ['counted', '0123456789abcdef'.repeat(4)],
    ['a placeholder', `changeme${randomBytes(32).toString('base64url')}`],
    ['text', 'please put thirty-two random bytes here!'],
    ['short behind a good one', `${SECRET},${randomBytes(16).toString('base64')}`],
    ['twice the same', `${SECRET},${SECRET}`],
  ])('%s is refused', (_what, CLAVIGER_SECRET) => {
    expect(Object.keys(faultsOf({ ...DEVELOPMENT, CLAVIGER_SECRET }))).toEqual(['CLAVIGER_SECRET'])
  })

  test('base64, base64url and hexadecimal mean the same, newest first', () => {
    const [first, second] = [randomBytes(32), randomBytes(48)]
    const parse = (text: string) => parseConfig({ ...DEVELOPMENT, CLAVIGER_SECRET: text }).secrets.serverSecrets
    expect(parse(`${first.toString('base64url')}, ${second.toString('hex')}`)).toEqual([first, second])
    expect(parse(first.toString('base64'))).toEqual([first])
  })

  test('it may come from a file, but not from two places', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'claviger-config-')), 'secret')
    writeFileSync(file, `${SECRET}\n`)
    const { CLAVIGER_SECRET: _, ...rest } = DEVELOPMENT
    expect(parseConfig({ ...rest, CLAVIGER_SECRET_FILE: file }).secrets.serverSecrets).toEqual([
      Buffer.from(SECRET, 'base64'),
    ])
    expect(faultsOf({ ...DEVELOPMENT, CLAVIGER_SECRET_FILE: file })).toEqual({
      CLAVIGER_SECRET: expect.stringContaining('twice'),
    })
    expect(faultsOf({ ...rest, CLAVIGER_SECRET_FILE: `${file}-not-there` })).toEqual({
      CLAVIGER_SECRET: expect.stringContaining('ENOENT'),
    })
  })

  test('neither it nor the database URL is part of the configuration that may be printed', () => {
    const { config } = parseConfig({ ...DEVELOPMENT, DATABASE_URL: 'postgres://u:marker@localhost/claviger' })
    expect(JSON.stringify(config)).not.toContain(SECRET)
    expect(JSON.stringify(config)).not.toContain('marker')
  })
})

describe('refused everywhere', () => {
  test.each([
    ['ALLOWED_ORIGINS', '*'],
    ['ALLOWED_ORIGINS', 'null'],
    ['ALLOWED_ORIGINS', 'https://a.example/'],
    ['ALLOWED_ORIGINS', 'https://*.a.example'],
    ['ALLOWED_ORIGINS', 'https://a.example,'],
    ['ALLOWED_ORIGINS', 'https://a.example,https://a.example'],
    ['TRUSTED_PROXIES', 'true'],
    ['TRUSTED_PROXIES', '1'],
    ['TRUSTED_PROXIES', '0.0.0.0/0'],
    ['TRUSTED_PROXIES', '::/0'],
    ['TRUSTED_PROXIES', '10.0.0.0/33'],
    ['TRUSTED_PROXIES', 'loopback'],
    ['ACCESS_TOKEN_SECONDS', '3601'],
    ['ACCESS_TOKEN_SECONDS', '6e2'],
    ['ACCESS_TOKEN_SECONDS', '600.5'],
    ['ARGON2_MEMORY_KIB', '19455'],
    ['ARGON2_PASSES', '1'],
    ['PASSWORD_MIN_LENGTH', '7'],
    ['KEY_BITS', '1024'],
    ['SESSION_MAX_SECONDS', '86401'],
    ['REMEMBER_MAX_SECONDS', '7776001'],
    ['RATE_LIMIT_LOGIN_PER_MINUTE', '0'],
    ['DATABASE_URL', 'mysql://localhost/x'],
    ['SCOPES', 'a b'],
    ['AUDIENCE', 'a b'],
  ])('%s=%s', (name, value) => {
    expect(Object.keys(faultsOf({ ...DEVELOPMENT, [name]: value }))).toEqual([name])
  })

  test('what two settings together say', () => {
    expect(faultsOf({ ...DEVELOPMENT, SESSION_IDLE_SECONDS: '61', SESSION_MAX_SECONDS: '60' })).toHaveProperty(
      'SESSION_IDLE_SECONDS',
    )
    expect(faultsOf({ ...DEVELOPMENT, PORT: '9464' })).toHaveProperty('METRICS_PORT')
  })
})

describe('refused in production, with the reason', () => {
  test.each([
    ['ALLOWED_ORIGINS', 'http://app.example.com', 'network path'],
    ['DATABASE_URL', 'postgres://db.example.com/claviger', 'verify-full'],
    ['DATABASE_URL', 'postgres://db.example.com/claviger?sslmode=require', 'verify-full'],
    ['DATABASE_URL', 'postgres://localhost/claviger?sslmode=no-verify', 'verify-full'],
    ['DATABASE_URL', 'postgres://8.8.8.8/claviger?sslmode=disable', 'verify-full'],
  ])('%s=%s', (name, value, reason) => {
    expect(faultsOf({ ...PRODUCTION, [name]: value })).toEqual({ [name]: expect.stringContaining(reason) })
    expect(faultsOf({ ...DEVELOPMENT, [name]: value })).toEqual({})
  })

  test.each([
    'postgres://db.example.com/c?sslmode=verify-full',
    'postgres://postgres/c',
    'postgres://10.1.2.3/c',
    'postgres://[fd00::1]/c',
    'postgres:///c?host=/run/postgresql',
  ])('a database at %s is fine', (DATABASE_URL) => {
    expect(faultsOf({ ...PRODUCTION, DATABASE_URL })).toEqual({})
  })
})

test('what is allowed but deserves a second look is a warning', () => {
  const warnings = (env: object) => parseConfig({ ...DEVELOPMENT, ...env }).warnings.map((text) => text.split(' ')[0])
  expect(warnings({})).toEqual([])
  expect(warnings({ ACCESS_TOKEN_SECONDS: '59' })).toEqual(['ACCESS_TOKEN_SECONDS'])
  expect(warnings({ ACCESS_TOKEN_SECONDS: '901', REMEMBER_MAX_SECONDS: '2592001' })).toEqual([
    'ACCESS_TOKEN_SECONDS',
    'REMEMBER_MAX_SECONDS',
  ])
})
