import { availableParallelism } from 'node:os'
import { readDatabaseUrl } from './database-url.ts'
import { logo } from './logo.ts'
import { serverSecrets } from './server-secrets.ts'
import { boolean, count, integer, list, oneOf, type Setting, secret, share, text } from './settings.ts'
import * as values from './values.ts'

const HOUR = 3600
const DAY = 24 * HOUR

/**
 * Every setting: how it is read, its bounds and its default. `.env.example` explains each for operators, and a test
 * holds the two together. A default of undefined means that the setting may be absent.
 */
export const settings = {
  NODE_ENV: oneOf(['development', 'production'], 'development'),
  HOST: text('127.0.0.1', values.host),
  PORT: integer(3000, 0, 65535),
  /** `auto`: one for each core. More than 64 would need more connections to the database than it has. */
  PROCESSES: count(1, 64, availableParallelism),
  METRICS_HOST: text('127.0.0.1', values.host),
  METRICS_PORT: integer(9464, 0, 65535),
  SHUTDOWN_DELAY_SECONDS: integer(undefined, 0, 300),
  /** Longer than the minute after which most balancers close idle connections: closing first could lose a request. */
  KEEP_ALIVE_SECONDS: integer(65, 1, 7200),
  ISSUER: text(undefined, values.issuer),
  DATABASE_URL: secret(undefined, readDatabaseUrl),
  /** Of each process. */
  DATABASE_POOL_SIZE: integer(undefined, 2, 20),
  CLAVIGER_SECRET: secret(undefined, serverSecrets),
  ALLOWED_ORIGINS: list([], values.origin),
  NATIVE_ORIGINS: list([], values.nativeOrigin),
  ALLOWED_HOSTS: list([], values.hostHeader),
  AUDIENCE: list([], values.audience),
  SCOPES: list([], values.scope),
  REGISTRATION: oneOf(['open', 'invite', 'closed'], undefined),
  EMAIL_VERIFICATION: oneOf(['required', 'off'], undefined),
  SMTP_URL: secret(undefined, values.smtpUrl),
  MAIL_FROM: text(undefined, values.mailbox),
  MAIL_TEMPLATES: text(undefined, values.folder),
  PAGES: oneOf(['on', 'off'], 'on'),
  APP_URL: text(undefined, values.appUrl),
  BRAND_NAME: text('Claviger', values.brandName),
  BRAND_LOGO: text(undefined, logo),
  BRAND_COLOR: text('#2f4bb8', values.brandColor('light')),
  /** Not set: BRAND_COLOR, as much lighter as it takes. */
  BRAND_COLOR_DARK: text(undefined, values.brandColor('dark')),
  ACCESS_TOKEN_SECONDS: integer(600, 5, 3600),
  /** How long a retry without a key counts as honest. A longer grace forgives slower clients, and gives thieves as long. */
  REFRESH_GRACE_SECONDS: integer(10, 0, 60),
  REFRESH_LATE_RETRY: oneOf(['revoke', 'recover'], 'revoke'),
  /** Whether proofs of possession must have a nonce of ours, so that none can be made in advance. */
  DPOP_NONCE: oneOf(['optional', 'required'], 'optional'),
  REFRESH_ROLL_FORWARD: oneOf(['on', 'off'], 'on'),
  SESSION_IDLE_SECONDS: integer(12 * HOUR, 2, DAY),
  SESSION_MAX_SECONDS: integer(DAY, 2, DAY),
  REMEMBER_IDLE_SECONDS: integer(14 * DAY, 2, 90 * DAY),
  REMEMBER_MAX_SECONDS: integer(30 * DAY, 2, 90 * DAY),
  /** A further sign-in ends the session whose last use is longest ago. */
  SESSIONS_PER_USER: integer(20, 1, 1000),
  PASSWORD_MIN_LENGTH: integer(8, 8, 64),
  /** OWASP's minimum. More memory is what slows an attacker's hardware most. */
  ARGON2_MEMORY_KIB: integer(19456, 19456, 1048576),
  ARGON2_PASSES: integer(2, 2, 16),
  /** Hashes at a time. Each takes ARGON2_MEMORY_KIB of memory and a core, at low priority. */
  HASH_CONCURRENCY: integer(availableParallelism(), 1, 256),
  HASH_QUEUE: integer(64, 0, 10000),
  KEY_BITS: oneOf(['2048', '3072', '4096'], '2048'),
  KEY_ROTATION_DAYS: integer(90, 1, 365),
  WITHDRAWN_KEYS: list([], values.kid),
  TRUSTED_PROXIES: list([], values.cidr),
  /** What requests of ours may reach besides public addresses. */
  OUTBOUND_ALLOW: list([], values.cidr),
  RATE_LIMIT_LOGIN_PER_MINUTE: integer(60, 1, 1000000),
  RATE_LIMIT_LOGIN_PER_HOUR: integer(600, 1, 1000000),
  RATE_LIMIT_REGISTER_PER_HOUR: integer(60, 1, 1000000),
  RATE_LIMIT_FORGOT_PER_HOUR: integer(10, 1, 1000000),
  RATE_LIMIT_REFRESH_PER_MINUTE: integer(600, 1, 1000000),
  RATE_LIMIT_FAMILY_PER_MINUTE: integer(120, 1, 1000000),
  RATE_LIMIT_LOGOUT_PER_MINUTE: integer(600, 1, 1000000),
  RATE_LIMIT_ACCOUNT_PER_MINUTE: integer(600, 1, 1000000),
  /** At least 30: a function of the database refuses to delete younger events, whoever asks. */
  AUDIT_RETENTION_DAYS: integer(365, 30, 3650),
  HSTS: oneOf(['on', 'off'], 'on'),
  DOCS: boolean(undefined),
  LOG_LEVEL: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'info'),
  /** The share of successful requests that is logged. Refusals and errors always are. */
  LOG_SUCCESS_SAMPLE: share(1),
} satisfies Record<string, Setting<unknown>>

export type Settings = { [Name in keyof typeof settings]: ReturnType<(typeof settings)[Name]['parse']> }

/** What the server runs with. Holds no secret, so it may be printed and logged. Durations are in seconds. */
export interface Config
  extends Omit<
    Settings,
    | 'CLAVIGER_SECRET'
    | 'DATABASE_URL'
    | 'DATABASE_POOL_SIZE'
    | 'SMTP_URL'
    | 'SHUTDOWN_DELAY_SECONDS'
    | 'ISSUER'
    | 'REGISTRATION'
    | 'EMAIL_VERIFICATION'
    | 'DOCS'
  > {
  production: boolean
  /** Whether pages on http://localhost, with any port, may act for the client `web`. */
  localhostPages: boolean
  DATABASE_POOL_SIZE: number
  SHUTDOWN_DELAY_SECONDS: number
  /** `iss`, and the base of every URL in documents. No trailing slash. */
  ISSUER: string
  /** Never empty: the first is the default audience, the rest may be asked for. */
  AUDIENCE: string[]
  REGISTRATION: 'open' | 'invite' | 'closed'
  /** Whether accounts that are registered from now on have to prove their address before they can sign in. */
  EMAIL_VERIFICATION: 'required' | 'off'
  /** Where mail goes. With `off`, what needs mail is not offered. */
  mail: 'smtp' | 'console' | 'off'
  DOCS: boolean
}

/** Kept apart from Config, and never logged. */
export interface Secrets {
  /** A complete URL, so that no variable of the environment changes where it leads. */
  databaseUrl: string
  /** Each of 32 bytes or more, newest first. */
  serverSecrets: [Buffer, ...Buffer[]]
  /** Where mail is handed over. It may hold a password. */
  smtpUrl: string | undefined
}
