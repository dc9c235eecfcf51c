import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import * as rules from './config/rules.ts'
import { boolean, type Fault, integer, list, oneOf, type Setting, secret, share, text } from './config/settings.ts'

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
  ISSUER: text(undefined, rules.issuer),
  DATABASE_URL: secret(undefined, rules.databaseUrl),
  DATABASE_POOL_SIZE: integer(10, 2, 20),
  CLAVIGER_SECRET: secret(undefined, rules.serverSecrets),
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
  extends Omit<Settings, 'CLAVIGER_SECRET' | 'DATABASE_URL' | 'ISSUER' | 'REGISTRATION' | 'DOCS'> {
  production: boolean
  /** `iss`, and the base of every URL that is stated. No trailing slash. */
  ISSUER: string
  /** Never empty: the first is the default audience, the rest may be asked for. */
  AUDIENCE: string[]
  REGISTRATION: 'open' | 'closed'
  DOCS: boolean
}

/** Kept apart from Config, and never logged. */
export interface Secrets {
  databaseUrl: string
  /** At least one of 32 bytes or more, newest first. */
  serverSecrets: [Buffer, ...Buffer[]]
}

export interface ParsedConfig {
  config: Config
  secrets: Secrets
  /** Settings that are allowed but deserve a second look; to be logged at the start. */
  warnings: string[]
}

/** All faults of a configuration. The message names each setting and what is wrong with it, and quotes no value. */
export class ConfigError extends Error {
  readonly faults: Fault[]
  constructor(faults: Fault[]) {
    super(
      `the configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n${faults.map((f) => `  ${f.name}: ${f.message}`).join('\n')}`,
    )
    this.name = 'ConfigError'
    this.faults = faults
  }
}

/**
 * Reads the whole configuration from environment variables (and the files that `*_FILE` name).
 * @throws ConfigError naming every fault at once.
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): ParsedConfig {
  const faults: Fault[] = []
  const values = Object.fromEntries(
    Object.entries(settings).map(([name, setting]) => [name, readSetting(name, setting, env, faults)]),
  ) as Settings

  const production = values.NODE_ENV === 'production'
  const issuer = values.ISSUER ?? `http://localhost:${values.PORT}`
  const config: Config = {
    ...withoutSecrets(values),
    production,
    ISSUER: issuer,
    AUDIENCE: values.AUDIENCE?.length ? values.AUDIENCE : [issuer],
    REGISTRATION: values.REGISTRATION ?? (production ? 'closed' : 'open'),
    DOCS: values.DOCS ?? !production,
  }
  if (faults.length === 0) faults.push(...rules.acrossSettings(config), ...missing(values, production))
  if (faults.length === 0 && production) faults.push(...rules.insecureInProduction(config, values.DATABASE_URL))
  if (faults.length > 0) throw new ConfigError(faults)

  return {
    config,
    secrets: {
      databaseUrl: values.DATABASE_URL as string,
      serverSecrets: values.CLAVIGER_SECRET as Secrets['serverSecrets'],
    },
    warnings: rules.warnings(config),
  }
}

function readSetting(
  name: string,
  setting: Setting<unknown>,
  env: Readonly<Record<string, string | undefined>>,
  faults: Fault[],
): unknown {
  try {
    return setting.parse(setting.secret ? valueOrFile(name, env) : env[name])
  } catch (error) {
    faults.push({ name, message: (error as Error).message })
    return undefined
  }
}

/** `NAME`, or the contents of the file that `NAME_FILE` names (as container secrets are mounted). */
function valueOrFile(name: string, env: Readonly<Record<string, string | undefined>>): string | undefined {
  const file = env[`${name}_FILE`]
  if (!file) return env[name]
  if (env[name]) throw new Error(`is set twice, here and by ${name}_FILE`)
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new Error(`the file that ${name}_FILE names cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

function withoutSecrets({ CLAVIGER_SECRET: _secret, DATABASE_URL: _url, ...rest }: Settings) {
  return rest
}

function missing(values: Settings, production: boolean): Fault[] {
  const needed = ['DATABASE_URL', 'CLAVIGER_SECRET', ...(production ? (['ISSUER'] as const) : [])] as const
  return needed.filter((name) => values[name] === undefined).map((name) => ({ name, message: 'must be set' }))
}
