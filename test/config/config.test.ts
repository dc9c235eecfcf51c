import { randomBytes } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { settings } from '../../src/config/config.ts'
import { ConfigError, parseConfig } from '../../src/config/parse.ts'

const secret = randomBytes(32).toString('base64')
const good = {
  NODE_ENV: 'production',
  ISSUER: 'https://auth.example.com',
  DATABASE_URL: 'postgres://claviger:pw@db.example.com/claviger?sslmode=verify-full',
  CLAVIGER_SECRET: secret,
}

function faultsOf(env: Record<string, string | undefined>): string[] {
  try {
    parseConfig(env)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.faults.map((fault) => fault.name)
  }
}

test('production starts with its four settings, and closes what development opens', () => {
  const { config, warnings } = parseConfig(good)
  expect(config).toMatchObject({
    production: true,
    REGISTRATION: 'closed',
    SHUTDOWN_DELAY_SECONDS: 2,
    KEEP_ALIVE_SECONDS: 65,
    RATE_LIMIT_LOGIN_PER_MINUTE: 60,
    RATE_LIMIT_LOGIN_PER_HOUR: 600,
    RATE_LIMIT_REGISTER_PER_HOUR: 60,
    RATE_LIMIT_FORGOT_PER_HOUR: 10,
    RATE_LIMIT_REFRESH_PER_MINUTE: 600,
    RATE_LIMIT_FAMILY_PER_MINUTE: 120,
    DOCS: false,
    AUDIENCE: ['https://auth.example.com'],
  })
  expect(warnings).toEqual([])
})

test.each([
  ['plain http', 'http://auth.example.com'],
  ['a query', 'https://auth.example.com?tenant=a'],
  ['an empty query', 'https://auth.example.com?'],
  ['a fragment', 'https://auth.example.com#a'],
  ['userinfo', 'https://me:pw@auth.example.com'],
  ['a trailing slash', 'https://auth.example.com/'],
  ['a path', 'https://auth.example.com/tenant'],
  ['a path and a trailing slash', 'https://auth.example.com/tenant/'],
  ['a path that is a dot', 'https://auth.example.com/.'],
  ['an encoded path', 'https://auth.example.com/%2e'],
  ['a backslash', 'https://auth.example.com\\tenant'],
  ['capitals in the host', 'https://AUTH.example.com'],
  ['the default port', 'https://auth.example.com:443'],
  ['another scheme', 'ftp://auth.example.com'],
  ['no URL', 'auth.example.com'],
  ['the end of a template', 'https://auth.example.com}'],
  ['the beginning of one', 'https://$auth.example.com'],
  ['a quotation mark', "https://auth.example.com'"],
])('production refuses an issuer with %s', (_name, issuer) => {
  expect(faultsOf({ ...good, ISSUER: issuer })).toEqual(['ISSUER'])
})

test.each(['http://localhost:3000', 'http://127.0.0.1:3000', 'http://[::1]:3000', 'https://example.com:8443'])(
  'production accepts the issuer %s',
  (issuer) => {
    expect(faultsOf({ ...good, ISSUER: issuer })).toEqual([])
  },
)

test('every fault is named at once, and no value is printed', () => {
  const env = {
    ...good,
    PORT: 'eighty',
    ACCESS_TOKEN_SECONDS: '99999',
    ALLOWED_ORIGINS: 'https://shop.example.org/,null',
    TRUSTED_PROXIES: 'everybody',
    CLAVIGER_SECRET: 'hunter2hunter2',
    REFRESH_LATE_RETRY: 'maybe',
  }
  expect(faultsOf(env).toSorted()).toEqual(
    [
      'ACCESS_TOKEN_SECONDS',
      'ALLOWED_ORIGINS',
      'CLAVIGER_SECRET',
      'PORT',
      'REFRESH_LATE_RETRY',
      'TRUSTED_PROXIES',
    ].toSorted(),
  )
  for (const value of ['eighty', '99999', 'everybody', 'hunter2', 'maybe', 'shop.example.org']) {
    expect(() => parseConfig(env)).not.toThrow(value)
  }
})

test('a fault hides no other, neither of the same list nor of what depends on it', () => {
  const env = {
    NODE_ENV: 'production',
    ISSUER: 'http://auth.example.com',
    CLAVIGER_SECRET: 'short',
    ALLOWED_ORIGINS: 'https://a.example.com/,http://b.example.com,null',
    SESSION_IDLE_SECONDS: '61',
    SESSION_MAX_SECONDS: '60',
    REMEMBER_IDLE_SECONDS: 'x',
    REMEMBER_MAX_SECONDS: '60',
    PORT: 'x',
    METRICS_PORT: '3000',
  }
  expect(faultsOf(env).toSorted()).toEqual([
    'ALLOWED_ORIGINS',
    'CLAVIGER_SECRET',
    'DATABASE_URL',
    'ISSUER',
    'PORT',
    'REMEMBER_IDLE_SECONDS',
    'SESSION_IDLE_SECONDS',
  ])
  expect(() => parseConfig(env)).toThrow(/ALLOWED_ORIGINS: item 1: .*; item 3: .*; item 2: must be https/)
})

test.each<[Record<string, string>, RegExp]>([
  [{ ISSUER: 'http://A.example.com:80/x/?y#z' }, /query or fragment; .* path: .*; .* normal form.*; must be https/],
  [{ ISSUER: 'https://auth.example.com/.' }, /ISSUER: must be written in its normal form/],
  [{ CLAVIGER_SECRET: `short,${secret},changeme` }, /CLAVIGER_SECRET: entry 1 must be .*; entry 3 must be /],
  [
    { ALLOWED_ORIGINS: 'https://a.example.com/,,*' },
    /ALLOWED_ORIGINS: has an empty item; item 1: .*; item 3: must not be a wildcard/,
  ],
  [{ SCOPES: 'a,a,"' }, /SCOPES: names an item twice; item 3: /],
  [
    { ALLOWED_ORIGINS: 'http://a.example.com,https://b.example.com,http://c.example.com' },
    /ALLOWED_ORIGINS: item 1, 3: must be https/,
  ],
])('all that is wrong with one setting is told in one line: %j', (env, message) => {
  const all = { ...good, NODE_ENV: 'production', ...env }
  expect(faultsOf(all)).toEqual(Object.keys(env))
  expect(() => parseConfig(all)).toThrow(message)
})

test('what is missing is named, also several at once', () => {
  expect(faultsOf({ NODE_ENV: 'production' }).toSorted()).toEqual(['CLAVIGER_SECRET', 'DATABASE_URL', 'ISSUER'])
})

test.each([
  ['changeme, padded', Buffer.from('changeme'.repeat(5)).toString('base64')],
  ['all zero', Buffer.alloc(32).toString('base64')],
  ['all zero in hexadecimal', '0'.repeat(64)],
  ['31 bytes', randomBytes(31).toString('base64')],
  ['a word', 'secret'],
  ['a sentence that says so', 'this_is_a_placeholder_replace_it_before_use_please'],
  ['an empty entry in the list', `${secret},`],
  ['the same entry twice', `${secret},${secret}`],
  ['a weak second entry', `${secret},changeme`],
  ['no base64', `${secret}!`],
])('a CLAVIGER_SECRET that is %s is refused', (_name, value) => {
  expect(faultsOf({ ...good, CLAVIGER_SECRET: value })).toEqual(['CLAVIGER_SECRET'])
})

test('CLAVIGER_SECRET is a list, newest first, in base64 or hexadecimal', () => {
  const [first, second] = [randomBytes(32), randomBytes(48)]
  const { secrets } = parseConfig({
    ...good,
    CLAVIGER_SECRET: `${first.toString('base64url')}, ${second.toString('hex')}`,
  })
  expect(secrets.serverSecrets).toEqual([first, second])
})

test('what gets into a value on its way is taken off, or told', () => {
  const { config } = parseConfig({
    ...good,
    // As a file with the line ends of Windows leaves them.
    PORT: '4000\r',
    ISSUER: ' https://auth.example.com\n',
    LOG_LEVEL: '\ufeffdebug',
    SCOPES: 'a, b\r',
  })
  expect(config).toMatchObject({
    PORT: 4000,
    ISSUER: 'https://auth.example.com',
    LOG_LEVEL: 'debug',
    SCOPES: ['a', 'b'],
  })
  const quoted = { ...good, PORT: '"4000"', ISSUER: "'https://auth.example.com'", CLAVIGER_SECRET: `"${secret}"` }
  expect(() => parseConfig(quoted)).toThrow(
    /( {2}(PORT|ISSUER|CLAVIGER_SECRET): begins with a quotation mark.*\n?){3}$/,
  )
})

test('secrets come from files too, but not from both at once', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'claviger-config-')), 'secret')
  writeFileSync(file, `${secret}\n`)
  const { CLAVIGER_SECRET: _gone, ...rest } = good
  expect(parseConfig({ ...rest, CLAVIGER_SECRET_FILE: file }).secrets.serverSecrets[0].toString('base64')).toBe(secret)
  expect(faultsOf({ ...good, CLAVIGER_SECRET_FILE: file })).toEqual(['CLAVIGER_SECRET'])
  expect(faultsOf({ ...rest, CLAVIGER_SECRET_FILE: `${file}.gone` })).toEqual(['CLAVIGER_SECRET'])
  writeFileSync(file, `\ufeff${secret}\r\n`)
  expect(faultsOf({ ...rest, CLAVIGER_SECRET_FILE: file })).toEqual([])
  writeFileSync(file, `\ufeff${secret}`, 'utf16le')
  expect(() => parseConfig({ ...rest, CLAVIGER_SECRET_FILE: file })).toThrow('is in UTF-16: save it as UTF-8')
})

test('the configuration that may be printed holds no secret', () => {
  const text = JSON.stringify(parseConfig(good).config)
  expect(text).not.toContain(secret)
  expect(text).not.toContain('pw@')
})

test.each([
  ['a plain http origin', { ALLOWED_ORIGINS: 'http://app.example.com' }, 'ALLOWED_ORIGINS'],
  ['every origin', { ALLOWED_ORIGINS: '*' }, 'ALLOWED_ORIGINS'],
  ['the origin null', { ALLOWED_ORIGINS: 'null' }, 'ALLOWED_ORIGINS'],
  ['an origin with the end of a template', { ALLOWED_ORIGINS: 'https://app.example.com}' }, 'ALLOWED_ORIGINS'],
  ['a web view with the end of a template', { NATIVE_ORIGINS: 'capacitor://localhost}' }, 'NATIVE_ORIGINS'],
  ['a pattern of origins', { ALLOWED_ORIGINS: 'https://*.example.com' }, 'ALLOWED_ORIGINS'],
  ['a web view of a plain http origin', { NATIVE_ORIGINS: 'http://app.example.com' }, 'NATIVE_ORIGINS'],
  ['limits switched off', { RATE_LIMIT_LOGIN_PER_MINUTE: '0' }, 'RATE_LIMIT_LOGIN_PER_MINUTE'],
  ['access tokens of more than an hour', { ACCESS_TOKEN_SECONDS: '3601' }, 'ACCESS_TOKEN_SECONDS'],
  ['argon2 below the floor', { ARGON2_MEMORY_KIB: '19455' }, 'ARGON2_MEMORY_KIB'],
  ['argon2 with one pass', { ARGON2_PASSES: '1' }, 'ARGON2_PASSES'],
  ['short passwords', { PASSWORD_MIN_LENGTH: '7' }, 'PASSWORD_MIN_LENGTH'],
  ['small keys', { KEY_BITS: '1024' }, 'KEY_BITS'],
  ['a grace of more than a minute', { REFRESH_GRACE_SECONDS: '61' }, 'REFRESH_GRACE_SECONDS'],
  ['a sample of more than everything', { LOG_SUCCESS_SAMPLE: '1.5' }, 'LOG_SUCCESS_SAMPLE'],
  ['a sample in per cent', { LOG_SUCCESS_SAMPLE: '1%' }, 'LOG_SUCCESS_SAMPLE'],
  ['trust in every proxy', { TRUSTED_PROXIES: 'true' }, 'TRUSTED_PROXIES'],
  ['trust by hop count', { TRUSTED_PROXIES: '1' }, 'TRUSTED_PROXIES'],
  ['trust in the whole Internet', { TRUSTED_PROXIES: '0.0.0.0/0' }, 'TRUSTED_PROXIES'],
  ['a database without TLS', { DATABASE_URL: 'postgres://u:pw@192.0.2.1/x' }, 'DATABASE_URL'],
  [
    'a database whose certificate nobody checks',
    { DATABASE_URL: 'postgres://u:pw@db.example.com/x?sslmode=require' },
    'DATABASE_URL',
  ],
  [
    'a certificate that nobody checks, on a private network',
    { DATABASE_URL: 'postgres://u:pw@10.0.0.5/x?sslmode=no-verify' },
    'DATABASE_URL',
  ],
])('production refuses %s', (_name, env, name) => {
  expect(faultsOf({ ...good, ...env })).toEqual([name])
})

test.each([
  ['loopback', 'postgres://u:pw@127.0.0.1/x'],
  ['a container network', 'postgres://u:pw@postgres:5432/x'],
  ['a private address', 'postgres://u:pw@10.1.2.3/x'],
  ['a socket', 'postgres:///x?host=/var/run/postgresql'],
  ['verified TLS', 'postgres://u:pw@db.example.com/x?sslmode=verify-full'],
])('production accepts a database over %s', (_name, url) => {
  expect(faultsOf({ ...good, DATABASE_URL: url })).toEqual([])
})

test('idle times longer than the absolute ones are faults', () => {
  const env = {
    SESSION_IDLE_SECONDS: '61',
    SESSION_MAX_SECONDS: '60',
    REMEMBER_IDLE_SECONDS: '61',
    REMEMBER_MAX_SECONDS: '60',
  }
  expect(faultsOf({ ...good, ...env })).toEqual(['SESSION_IDLE_SECONDS', 'REMEMBER_IDLE_SECONDS'])
})

test('what deserves a second look is a warning', () => {
  const { NODE_ENV: _production, ISSUER: _stated, ...development } = good
  expect(parseConfig({ ...development, PORT: '0' }).warnings.join()).toContain('an address that leads nowhere')
  expect(parseConfig({ ...good, ACCESS_TOKEN_SECONDS: '5' }).warnings.join()).toContain('ACCESS_TOKEN_SECONDS')
  expect(parseConfig({ ...good, ACCESS_TOKEN_SECONDS: '1200' }).warnings.join()).toContain('ACCESS_TOKEN_SECONDS')
  expect(parseConfig({ ...good, REMEMBER_MAX_SECONDS: String(60 * 86400) }).warnings.join()).toContain(
    'REMEMBER_MAX_SECONDS',
  )
})

test('no setting can weaken the cookie: its name and flags are not settings at all', () => {
  expect(Object.keys(settings).filter((name) => /cookie|same_?site|secure/i.test(name))).toEqual([])
})

test.each<[string | undefined, number]>([
  [undefined, 1],
  ['', 1],
  ['1', 1],
  ['1.0', 1],
  ['0', 0],
  ['0.01', 0.01],
  ['.5', 0.5],
])('LOG_SUCCESS_SAMPLE=%s is %s', (text, value) => {
  expect(parseConfig({ ...good, LOG_SUCCESS_SAMPLE: text }).config.LOG_SUCCESS_SAMPLE).toBe(value)
})

test.each([
  'capacitor://localhost',
  'ionic://localhost',
  'tauri://localhost',
  'http://tauri.localhost',
  'https://localhost',
  'http://localhost:8100',
  'app://.',
  'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
  'moz-extension://9f8a1d3c-5b7e-4c2a-8d6f-0e1b2c3d4e5f',
  'safari-web-extension://9F8A1D3C-5B7E-4C2A-8D6F-0E1B2C3D4E5F',
])('NATIVE_ORIGINS may name %s', (value) => {
  expect(parseConfig({ ...good, NATIVE_ORIGINS: value }).config.NATIVE_ORIGINS).toEqual([value])
})

test.each([
  'capacitor://localhost/',
  'capacitor://localhost/index.html',
  'capacitor://localhost?x',
  'capacitor://localhost#x',
  'capacitor://me@localhost',
  'capacitor://',
  'capacitor:localhost',
  'Capacitor://localhost',
  'capacitor://*',
  'chrome-extension://*',
  '*',
  'null',
  'localhost',
  'file://',
  'file:///index.html',
  'data:text/html,x',
  'http://localhost:80',
  'HTTPS://localhost',
  'https://app.example.com/',
])('NATIVE_ORIGINS may not name %s', (value) => {
  expect(faultsOf({ ...good, NATIVE_ORIGINS: value })).toEqual(['NATIVE_ORIGINS'])
})

test.each([
  [{}, 1, 10],
  [{ PROCESSES: '6' }, 6, 10],
  [{ PROCESSES: '8' }, 8, 7],
  [{ PROCESSES: '64' }, 64, 3],
  [{ PROCESSES: '64', DATABASE_POOL_SIZE: '2' }, 64, 2],
  [{ PROCESSES: 'auto' }, Math.min(64, availableParallelism()), 10],
])('with %j there are %i processes with %i connections each', (env, processes, connections) => {
  const { config } = parseConfig({ ...good, ...env })
  expect([config.PROCESSES, config.DATABASE_POOL_SIZE]).toEqual([processes, connections])
})

test.each(['0', 'x', '-1', '1000', '65', '1.5', 'AUTO', 'auto 2'])('PROCESSES=%s is refused', (PROCESSES) => {
  expect(() => parseConfig({ ...good, PROCESSES })).toThrow('PROCESSES: must be auto, or a whole number from 1 to 64')
})

test('more connections than PostgreSQL grants by default, and fewer hashes than processes, are warned of', () => {
  const env = { ...good, PROCESSES: '10', DATABASE_POOL_SIZE: '10', HASH_CONCURRENCY: '4' }
  expect(parseConfig(env).warnings).toEqual([
    expect.stringContaining('PROCESSES × DATABASE_POOL_SIZE is 100 connections'),
    expect.stringContaining('HASH_CONCURRENCY is below PROCESSES'),
  ])
  expect(parseConfig({ ...env, DATABASE_POOL_SIZE: '9', HASH_CONCURRENCY: '10' }).warnings).toEqual([])
})
