import { availableParallelism } from 'node:os'
import { inspectLink, OPEN_LINK, type Resolve } from './database-link.ts'
import { type CompleteDatabase, completeDatabase, type DatabaseTarget } from './database-target.ts'
import { readDatabaseUrl } from './database-url.ts'
import { misspeltNames } from './names.ts'
import * as rules from './rules.ts'
import { serverSecrets } from './server-secrets.ts'
import { boolean, type Fault, integer, list, oneOf, type Setting, secret, share, text } from './settings.ts'
import { textOf } from './sources.ts'

const HOUR = 3600
const DAY = 24 * HOUR

/**
 * Every setting: how it is read, its bounds and its default. `.env.example` explains each for operators, and a test
 * holds the two together. A default of undefined means that the setting may be absent.
 */
export const settings = {
  NODE_ENV: oneOf(['development', 'production'], 'development'),
  HOST: text('127.0.0.1', rules.host),
  PORT: integer(3000, 0, 65535),
  METRICS_HOST: text('127.0.0.1', rules.host),
  METRICS_PORT: integer(9464, 0, 65535),
  SHUTDOWN_DELAY_SECONDS: integer(undefined, 0, 300),
  /** Longer than the minute after which most balancers close theirs: if it were we, a request could be on its way. */
  KEEP_ALIVE_SECONDS: integer(65, 1, 7200),
  ISSUER: text(undefined, rules.issuer),
  DATABASE_URL: secret(undefined, readDatabaseUrl),
  DATABASE_POOL_SIZE: integer(10, 2, 20),
  CLAVIGER_SECRET: secret(undefined, serverSecrets),
  ALLOWED_ORIGINS: list([], rules.origin),
  NATIVE_ORIGINS: list([], rules.nativeOrigin),
  ALLOWED_HOSTS: list([], rules.hostHeader),
  AUDIENCE: list([], rules.audience),
  SCOPES: list([], rules.scope),
  REGISTRATION: oneOf(['open', 'closed'], undefined),
  ACCESS_TOKEN_SECONDS: integer(600, 5, 3600),
  /** How long a retry without a key is believed. Longer forgives slower clients and gives a thief the same time. */
  REFRESH_GRACE_SECONDS: integer(10, 0, 60),
  REFRESH_LATE_RETRY: oneOf(['revoke', 'recover'], 'revoke'),
  REFRESH_ROLL_FORWARD: oneOf(['on', 'off'], 'on'),
  SESSION_IDLE_SECONDS: integer(12 * HOUR, 2, DAY),
  SESSION_MAX_SECONDS: integer(DAY, 2, DAY),
  REMEMBER_IDLE_SECONDS: integer(14 * DAY, 2, 90 * DAY),
  REMEMBER_MAX_SECONDS: integer(30 * DAY, 2, 90 * DAY),
  /** One more sign-in ends the session that was used longest ago. */
  SESSIONS_PER_USER: integer(20, 1, 1000),
  PASSWORD_MIN_LENGTH: integer(8, 8, 64),
  /** OWASP's floor; more memory is what hurts an attacker's hardware most. */
  ARGON2_MEMORY_KIB: integer(19456, 19456, 1048576),
  ARGON2_PASSES: integer(2, 2, 16),
  /** Hashes at a time. Each wants a core, at low priority, and ARGON2_MEMORY_KIB. */
  HASH_CONCURRENCY: integer(availableParallelism(), 1, 256),
  HASH_QUEUE: integer(64, 0, 10000),
  KEY_BITS: oneOf(['2048', '3072', '4096'], '2048'),
  KEY_ROTATION_DAYS: integer(90, 1, 365),
  WITHDRAWN_KEYS: list([], rules.kid),
  TRUSTED_PROXIES: list([], rules.cidr),
  RATE_LIMIT_LOGIN_PER_MINUTE: integer(60, 1, 1000000),
  RATE_LIMIT_LOGIN_PER_HOUR: integer(600, 1, 1000000),
  RATE_LIMIT_REGISTER_PER_HOUR: integer(60, 1, 1000000),
  RATE_LIMIT_REFRESH_PER_MINUTE: integer(600, 1, 1000000),
  RATE_LIMIT_FAMILY_PER_MINUTE: integer(120, 1, 1000000),
  RATE_LIMIT_LOGOUT_PER_MINUTE: integer(600, 1, 1000000),
  RATE_LIMIT_ACCOUNT_PER_MINUTE: integer(600, 1, 1000000),
  /** From 30: the database deletes nothing younger, whoever asks. */
  AUDIT_RETENTION_DAYS: integer(365, 30, 3650),
  HSTS: oneOf(['on', 'off'], 'on'),
  DOCS: boolean(undefined),
  LOG_LEVEL: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'info'),
  /** Share of the lines about requests that succeeded. Refusals and errors are always logged. */
  LOG_SUCCESS_SAMPLE: share(1),
} satisfies Record<string, Setting<unknown>>

type Settings = { [Name in keyof typeof settings]: ReturnType<(typeof settings)[Name]['parse']> }

/** What the server runs with. Holds no secret, so it may be printed and logged. Durations are in seconds. */
export interface Config
  extends Omit<
    Settings,
    'CLAVIGER_SECRET' | 'DATABASE_URL' | 'SHUTDOWN_DELAY_SECONDS' | 'ISSUER' | 'REGISTRATION' | 'DOCS'
  > {
  production: boolean
  /** Pages of http://localhost may act for the client `web`, whatever their port. */
  localhostPages: boolean
  SHUTDOWN_DELAY_SECONDS: number
  /** `iss`, and the base of every URL that is stated. No trailing slash. */
  ISSUER: string
  /** Never empty: the first is the default audience, the rest may be asked for. */
  AUDIENCE: string[]
  REGISTRATION: 'open' | 'closed'
  DOCS: boolean
}

/** Kept apart from Config, and never logged. */
export interface Secrets {
  /** Leaves nothing open, so that no variable of the environment changes where it leads. */
  databaseUrl: string
  /** At least one of 32 bytes or more, newest first. */
  serverSecrets: [Buffer, ...Buffer[]]
}

export interface ParsedConfig {
  config: Config
  secrets: Secrets
  database: DatabaseTarget
  /** Settings that are allowed but deserve a second look; to be logged at the start. */
  warnings: string[]
}

/** All faults of a configuration. The message names each setting and what is wrong with it, and quotes no value. */
export class ConfigError extends Error {
  readonly faults: Fault[]
  /** Names that were probably meant as settings: often the reason why one is missing. */
  readonly misspelt: string[]
  constructor(faults: Fault[], misspelt: string[] = []) {
    const lines = [...faults.map(({ name, message }) => `${name}: ${message}`), ...misspelt]
    const count = faults.length === 1 ? 'a fault' : `${faults.length} faults`
    super(`the configuration has ${count}:\n${lines.map((line) => `  ${line}`).join('\n')}`)
    this.name = 'ConfigError'
    this.faults = faults
    this.misspelt = misspelt
  }
}

/**
 * Reads the whole configuration from environment variables (and the files that `*_FILE` name).
 * @throws ConfigError naming every fault at once.
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): ParsedConfig {
  const faults: Fault[] = []
  /** For a setting with a fault: undefined, or its default, so that what depends on it can be judged all the same. */
  const attempt = <T>(name: string, read: () => T, otherwise: () => T): T => {
    try {
      return read()
    } catch (error) {
      faults.push({ name, message: (error as Error).message })
      return otherwise()
    }
  }
  const values = Object.fromEntries(
    Object.entries(settings).map(([name, setting]: [string, Setting<unknown>]) => [
      name,
      attempt(
        name,
        () => setting.parse(textOf(name, setting, env)),
        () => setting.parse(undefined),
      ),
    ]),
  ) as Settings
  const faulty = new Set(faults.map(({ name }) => name))
  const stated = values.DATABASE_URL
  const database =
    stated &&
    attempt<CompleteDatabase | undefined>(
      'DATABASE_URL',
      () => completeDatabase(stated, env),
      () => undefined,
    )

  const production = values.NODE_ENV === 'production'
  const issuer = values.ISSUER ?? `http://localhost:${values.PORT}`
  const config: Config = {
    ...withoutSecrets(values),
    production,
    localhostPages: !production && values.ALLOWED_ORIGINS.length === 0,
    // In development nobody waits for a load balancer.
    SHUTDOWN_DELAY_SECONDS: values.SHUTDOWN_DELAY_SECONDS ?? (production ? 2 : 0.1),
    ISSUER: issuer,
    AUDIENCE: values.AUDIENCE.length > 0 ? values.AUDIENCE : [issuer],
    REGISTRATION: values.REGISTRATION ?? (production ? 'closed' : 'open'),
    DOCS: values.DOCS ?? !production,
  }
  faults.push(
    ...missing(values, production).filter(({ name }) => !faulty.has(name)),
    ...rules.acrossSettings(config).filter(({ name, other }) => !faulty.has(name) && !faulty.has(other)),
    ...(production ? rules.insecureInProduction(env, database?.target) : []),
  )
  const misspelt = misspeltNames(env, settings)
  if (faults.length > 0 || !database || !values.CLAVIGER_SECRET) throw new ConfigError(oneEach(faults), misspelt)

  return {
    config,
    secrets: { databaseUrl: database.url, serverSecrets: values.CLAVIGER_SECRET },
    database: database.target,
    warnings: [...rules.warnings(config), ...misspelt],
  }
}

/**
 * What `parseConfig` cannot know of the database without asking the network: to be called before each attempt to make a
 * first connection, which would send the password.
 * @throws ConfigError if the name leads out of private networks in plain text, in production; the resolver's error if it
 * leads nowhere yet.
 */
export async function judgeDatabaseLink(
  { config, database }: Pick<ParsedConfig, 'config' | 'database'>,
  resolve?: Resolve,
): Promise<void> {
  if (!config.production) return
  const link = await inspectLink(database, resolve)
  if (link.kind === 'outside') throw new ConfigError([{ name: 'DATABASE_URL', message: OPEN_LINK }])
  if (link.kind === 'unknown') throw link.error
}

/** What is wrong with one setting is told in one place. */
function oneEach(faults: readonly Fault[]): Fault[] {
  const names = [...new Set(faults.map(({ name }) => name))]
  return names.map((name) => ({
    name,
    message: faults.flatMap((fault) => (fault.name === name ? [fault.message] : [])).join('; '),
  }))
}

function withoutSecrets({ CLAVIGER_SECRET: _secret, DATABASE_URL: _url, ...rest }: Settings) {
  return rest
}

function missing(values: Settings, production: boolean): Fault[] {
  const needed = ['DATABASE_URL', 'CLAVIGER_SECRET', ...(production ? (['ISSUER'] as const) : [])] as const
  return needed.filter((name) => values[name] === undefined).map((name) => ({ name, message: 'must be set' }))
}
