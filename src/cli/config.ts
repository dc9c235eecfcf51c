import { settings } from '../config/config.ts'
import { describeLink, inspectLinks, OPEN_LINK } from '../config/database-link.ts'
import { describeTarget } from '../config/database-target.ts'
import { ConfigError, parseConfig } from '../config/parse.ts'
import { deriveServerKeys } from '../config/secrets.ts'
import { textOf } from '../config/sources.ts'
import { command, type Sources } from './command.ts'
import { EXIT } from './exit.ts'
import { type Paint, printable, table } from './terminal.ts'

type Env = NodeJS.ProcessEnv
type Fault = ConfigError['faults'][number]

type Value = string | number | boolean | readonly string[] | null

interface Row {
  name: string
  /** Null if it is not set, not valid, or unknown because of other faults. */
  value: Value
  /** `default`, `environment`, `file` (named by `*_FILE`), `.env`, or `.claviger` for what was made there. */
  source: string
  fault: string | null
}

const config = command({
  name: 'config',
  usage: '',
  summary: 'show the settings in force, their sources and their faults',
  details: 'Secrets are never shown. Exit code 78 if there are faults.',
  takes: [0, 0],
  options: {},
  run: async ({ environment, sources, paint, width }) => {
    const shown = await readAll(await environment(), await sources())
    const { rows, faults, warnings, notes } = shown
    return {
      json: { settings: rows, faults, warnings, notes },
      text: describe(shown, { paint, width }),
      code: faults.length > 0 ? EXIT.config : EXIT.ok,
    }
  },
})

interface Shown {
  rows: Row[]
  faults: Fault[]
  warnings: string[]
  /** Findings that are as they should be. */
  notes: string[]
}

async function readAll(env: Env, sources: Sources): Promise<Shown> {
  const sourceOf = (name: string) => findSource(name, env, sources)
  const rowsOf = (valueOf: (name: string) => Value | undefined, faults: Fault[]): Row[] =>
    Object.keys(settings).map((name) => {
      const fault = faults.filter((each) => each.name === name).map(({ message }) => message)
      return { name, value: valueOf(name) ?? null, source: sourceOf(name), fault: fault.join('; ') || null }
    })
  try {
    const { config: parsed, secrets, database, warnings } = parseConfig(env)
    const redacted: Record<string, Value | undefined> = {
      ...parsed,
      DATABASE_URL: `${describeTarget(database)} (user and password not shown)`,
      CLAVIGER_SECRET: secrets.serverSecrets
        .map((secret) => `fingerprint ${deriveServerKeys(secret).fingerprint}`)
        .join(', '),
      SMTP_URL: secrets.smtpUrl && `${hostOf(secrets.smtpUrl)} (user and password not shown)`,
    }
    const links = await inspectLinks(database)
    const said = (kinds: string[]) => [
      ...new Set(
        links.filter(({ link }) => kinds.includes(link.kind)).map((each) => `DATABASE_URL: ${describeLink(each)}`),
      ),
    ]
    const doubtful = said(['outside', 'unknown'])
    const open = links.some(({ link }) => link.kind === 'outside')
    const faults = open && parsed.production ? [{ name: 'DATABASE_URL', message: OPEN_LINK }] : []
    return {
      rows: rowsOf((name) => redacted[name], faults),
      faults,
      warnings: [...warnings, ...doubtful],
      notes: said(['verified', 'socket', 'inside']),
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const valid = (name: string): Value | undefined => {
      const setting = settings[name as keyof typeof settings]
      if (setting.secret) return sourceOf(name) === 'default' ? null : 'set'
      return error.faults.some((fault) => fault.name === name)
        ? null
        : (setting.parse(textOf(name, setting, env)) as Value | undefined)
    }
    return { rows: rowsOf(valid, error.faults), faults: error.faults, warnings: error.misspelt, notes: [] }
  }
}

function hostOf(url: string): string {
  const { protocol, host } = new URL(url)
  return `${protocol}//${host}`
}

function findSource(name: string, env: Env, sources: Sources): string {
  if (settings[name as keyof typeof settings].secret && env[`${name}_FILE`]) return 'file'
  return env[name] ? (sources[name] ?? 'environment') : 'default'
}

function describe({ rows, faults, warnings, notes }: Shown, style: { paint: Paint; width: number }): string {
  const { paint } = style
  const isProduction = rows.some(({ name, value }) => name === 'NODE_ENV' && value === 'production')
  const empty = isProduction ? WHEN_EMPTY : { ...WHEN_EMPTY, ...WHEN_EMPTY_IN_DEVELOPMENT }
  const cells = rows.map(({ name, value, source, fault }) => [
    fault ? paint('red', name) : name,
    source === 'default' ? paint('dim', source) : source,
    fault ? paint('red', 'not valid') : show(value, empty[name], paint),
  ])
  const remarks = [
    ...faults.map(({ name, message }) => `${paint('red', '✗')} ${name} ${message}`),
    ...warnings.map((warning) => `${paint('yellow', '!')} ${warning}`),
    ...notes.map((note) => `${paint('green', '✓')} ${note}`),
  ]
  return [table(['SETTING', 'SOURCE', 'VALUE'], cells, style), ...(remarks.length > 0 ? ['', ...remarks] : [])].join(
    '\n',
  )
}

/** What an empty list means. */
const WHEN_EMPTY: Record<string, string> = {
  ALLOWED_HOSTS: 'any',
  ALLOWED_ORIGINS: 'the issuer’s own',
  TRUSTED_PROXIES: 'nobody',
  SCOPES: 'account',
}
const WHEN_EMPTY_IN_DEVELOPMENT = { ALLOWED_ORIGINS: 'the issuer’s own, and http://localhost on any port' }

function show(value: Value, whenEmpty: string | undefined, paint: Paint): string {
  if (value === null || (typeof value === 'object' && value.length === 0)) return paint('dim', whenEmpty ?? 'none')
  return printable(typeof value === 'object' ? value.join(', ') : String(value))
}

export const configCommands = [config]
