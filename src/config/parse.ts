import { type Config, type Secrets, type Settings, settings } from './config.ts'
import { inspectLinks, OPEN_LINK, type Resolve } from './database-link.ts'
import { type CompleteDatabase, completeDatabase, type DatabaseTarget } from './database-target.ts'
import { misspeltNames } from './names.ts'
import { acrossSettings, insecureInProduction, warnings } from './rules.ts'
import type { Fault, Setting } from './settings.ts'
import { textOf } from './sources.ts'

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
  /** Names that were probably meant as settings, which is often why a setting is missing. */
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
  /** Returns `otherwise()` for a setting with a fault, so that the settings that depend on it can still be judged. */
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
    DATABASE_POOL_SIZE: values.DATABASE_POOL_SIZE ?? poolSize(values.PROCESSES),
    // In development there is no load balancer to wait for.
    SHUTDOWN_DELAY_SECONDS: values.SHUTDOWN_DELAY_SECONDS ?? (production ? 2 : 0.1),
    ISSUER: issuer,
    AUDIENCE: values.AUDIENCE.length > 0 ? values.AUDIENCE : [issuer],
    REGISTRATION: values.REGISTRATION ?? (production ? 'closed' : 'open'),
    EMAIL_VERIFICATION: values.EMAIL_VERIFICATION ?? (values.SMTP_URL === undefined ? 'off' : 'required'),
    mail: values.SMTP_URL !== undefined ? 'smtp' : production ? 'off' : 'console',
    DOCS: values.DOCS ?? !production,
  }
  faults.push(
    ...missing(values, production).filter(({ name }) => !faulty.has(name)),
    ...acrossSettings(config).filter(({ name, other }) => !faulty.has(name) && !faulty.has(other)),
    ...(production ? insecureInProduction(env, database?.target) : []),
  )
  const misspelt = misspeltNames(env, settings)
  if (faults.length > 0 || !database || !values.CLAVIGER_SECRET) throw new ConfigError(oneEach(faults), misspelt)

  return {
    config,
    secrets: { databaseUrl: database.url, serverSecrets: values.CLAVIGER_SECRET, smtpUrl: values.SMTP_URL },
    database: database.target,
    warnings: [...warnings(config), ...misspelt],
  }
}

/**
 * Checks what `parseConfig` cannot know without asking the network: where the names of the database lead. Called before
 * each attempt at the first connection, which would send the password.
 * @throws ConfigError if a name leads out of private networks, in plain text and in production; the resolver's error if
 * none resolves yet. Of several, those of machines that are away may not.
 */
export async function judgeDatabaseLink(
  { config, database }: Pick<ParsedConfig, 'config' | 'database'>,
  resolve?: Resolve,
): Promise<void> {
  if (!config.production) return
  const links = (await inspectLinks(database, resolve)).map(({ link }) => link)
  if (links.some(({ kind }) => kind === 'outside'))
    throw new ConfigError([{ name: 'DATABASE_URL', message: OPEN_LINK }])
  const [first] = links
  if (first?.kind === 'unknown' && links.every(({ kind }) => kind === 'unknown')) throw first.error
}

/** Joins the faults of each setting into one. */
function oneEach(faults: readonly Fault[]): Fault[] {
  const names = [...new Set(faults.map(({ name }) => name))]
  return names.map((name) => ({
    name,
    message: faults.flatMap((fault) => (fault.name === name ? [fault.message] : [])).join('; '),
  }))
}

/** Ten connections; of many processes fewer each, so that together they leave some of the hundred that PostgreSQL has by default. */
function poolSize(processes: number): number {
  return Math.max(3, Math.min(10, Math.floor(60 / processes)))
}

function withoutSecrets({ CLAVIGER_SECRET: _secret, DATABASE_URL: _url, SMTP_URL: _smtp, ...rest }: Settings) {
  return rest
}

function missing(values: Settings, production: boolean): Fault[] {
  const needed = ['DATABASE_URL', 'CLAVIGER_SECRET', ...(production ? (['ISSUER'] as const) : [])] as const
  return needed.filter((name) => values[name] === undefined).map((name) => ({ name, message: 'must be set' }))
}
