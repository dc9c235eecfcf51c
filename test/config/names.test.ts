import { expect, test } from 'vitest'
import { settings } from '../../src/config/config.ts'
import { misspeltNames } from '../../src/config/names.ts'
import { ConfigError, parseConfig } from '../../src/config/parse.ts'

const found = (name: string, value = 'x') => misspeltNames({ [name]: value }, settings)

test.each([
  ['ALLOWED_ORIGIN', 'ALLOWED_ORIGINS'],
  ['ALLOWED_ORGINS', 'ALLOWED_ORIGINS'],
  ['ALLOWEDORIGINS', 'ALLOWED_ORIGINS'],
  ['allowed_origins', 'ALLOWED_ORIGINS'],
  ['ALLOWED_HOST', 'ALLOWED_HOSTS'],
  ['RATELIMIT_LOGIN_PER_MINUTE', 'RATE_LIMIT_LOGIN_PER_MINUTE'],
  ['RATE_LIMIT_LOGIN', 'RATE_LIMIT_LOGIN_PER_HOUR'],
  ['DATABASE_URI', 'DATABASE_URL'],
  ['DATABSE_URL', 'DATABASE_URL'],
  ['DATABASE_POOL_MAX', 'DATABASE_POOL_SIZE'],
  ['CLAVIGER_SECRETS', 'CLAVIGER_SECRET'],
  ['CLAVIGER_ISSUER', 'ISSUER'],
  ['CLAVIGER_HOST', 'HOST'],
  ['CLAVIGER_DATABASE_URL', 'DATABASE_URL'],
  ['ISSUER_URL', 'ISSUER'],
  ['ISUSER', 'ISSUER'],
  ['SCOPE', 'SCOPES'],
  ['AUDIENCES', 'AUDIENCE'],
  ['LOGLEVEL', 'LOG_LEVEL'],
  ['ACCESS_TOKEN_TTL', 'ACCESS_TOKEN_SECONDS'],
  ['REFRESH_GRACE_MS', 'REFRESH_GRACE_SECONDS'],
  ['TRUSTED_PROXY', 'TRUSTED_PROXIES'],
])('%s was meant as %s', (name, meant) => {
  expect(found(name)).toEqual([`${name} is not a setting; ${meant} is`])
})

test('the port that Compose publishes is told from the one of the server', () => {
  expect(found('CLAVIGER_PORT', '4610')).toEqual([
    'CLAVIGER_PORT is what Compose publishes; the server itself listens on PORT',
  ])
})

test('names that can only be ours are named without a suggestion too', () => {
  expect(found('CLAVIGER_FANCY_THING')).toEqual(['CLAVIGER_FANCY_THING is not a setting'])
  expect(found('ISSUER_FILE')).toEqual(['ISSUER_FILE is not read: only secrets may come from files'])
  expect(found('ALLOWED_ORIGIN', '')).toEqual([])
})

// Of shells, desktops, containers, Node, npm, PostgreSQL, Kubernetes and clouds.
test.each(
  `PATH HOME HOSTNAME HOSTTYPE USER SHELL LANG LC_ALL TERM PWD OLDPWD SHLVL EDITOR LOGNAME MAIL TZ DISPLAY DEBUG CI
  SSH_AUTH_SOCK XDG_SESSION_ID XDG_SESSION_TYPE SESSION_MANAGER DBUS_SESSION_BUS_ADDRESS DESKTOP_SESSION NODE NODE_OPTIONS NODE_PATH
  NODE_VERSION YARN_VERSION NO_COLOR FORCE_COLOR COLORTERM PORTS POST HOSTS HOST_IP PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE
  POSTGRES_PASSWORD POSTGRES_URL REDIS_URL DATABASE_HOST DATABASE_USER DATABASE_NAME DATABASE_PASSWORD DATABASE TEST_DATABASE_URL
  KUBERNETES_SERVICE_HOST KUBERNETES_PORT_443_TCP_ADDR CLAVIGER_SERVICE_HOST CLAVIGER_SERVICE_PORT_HTTP CLAVIGER_PORT_3000_TCP_PROTO
  METRICS_SERVICE_PORT AWS_REGION ACCESS_TOKEN REFRESH_TOKEN SECRET SECRET_KEY JWT_SECRET JWT_ISSUER SESSION_SECRET KEY LOG_FORMAT
  UV_THREADPOOL_SIZE MALLOC_ARENA_MAX ARGON2_MARCH SPA_PORT DEMO_ISSUER_PORT npm_config_registry npm_package_name INIT_CWD _`.split(
    /\s+/,
  ),
)('%s is of somebody else', (name) => {
  expect(found(name)).toEqual([])
})

test.each(Object.keys(settings))('%s itself is no misspelling', (name) => {
  expect(found(name)).toEqual([])
})

test('a service link of Kubernetes is told as such', () => {
  const env = {
    DATABASE_URL: 'postgres://u:p@127.0.0.1/d',
    METRICS_PORT: 'tcp://10.43.7.1:9464',
    PORT: 'tcp://[fd00::1]:80',
  }
  expect(() => parseConfig(env)).toThrow(/METRICS_PORT: looks like a Kubernetes service link/)
  expect(() => parseConfig(env)).toThrow(/ PORT: looks like a Kubernetes service link/)
  expect(() => parseConfig(env)).not.toThrow('10.43')
  expect(found('CLAVIGER_PORT', 'tcp://10.43.7.1:3000')).toEqual([])
})

test('the misspelt name stands beside the fault that it causes, and with the warnings where there is none', () => {
  const secret = { CLAVIGER_SECRET: 'TOmBwUGsNhYv8YVvKcVhrM1kxsAJsAQ8TnGmqGMuKxE=' }
  const url = 'postgres://u:h4rd-to-guess@127.0.0.1/d'
  expect(() => parseConfig({ ...secret, DATABASE_URI: url })).toThrow(
    'DATABASE_URL: must be set\n  DATABASE_URI is not a setting; DATABASE_URL is',
  )
  expect(() => parseConfig({ ...secret, DATABASE_URI: url })).not.toThrow('h4rd')
  expect(() => parseConfig({ ...secret, DATABASE_URI: url })).toThrow(ConfigError)
  expect(parseConfig({ ...secret, DATABASE_URL: url, SCOPE: 'a' }).warnings).toEqual([
    'SCOPE is not a setting; SCOPES is',
  ])
})
