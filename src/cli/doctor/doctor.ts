import { settings } from '../../config/config.ts'
import { describeLink, inspectLinks } from '../../config/database-link.ts'
import { ConfigError, judgeDatabaseLink, type ParsedConfig, parseConfig } from '../../config/parse.ts'
import { explainRefusal } from '../../db/refusals.ts'
import { Unreachable } from '../../db/unreachable.ts'
import { listKeys } from '../../keys/operator.ts'
import { type Answer, type Context, command } from '../command.ts'
import { EXIT } from '../exit.ts'
import { explainFailure } from '../failure.ts'
import { wrap } from '../terminal.ts'
import { checkDatabase } from './database.ts'
import { bad, type Finding, fine, unsure } from './finding.ts'
import { checkHosts } from './hosts.ts'
import { checkIssuer } from './issuer.ts'
import { checkMail } from './mail.ts'
import { checkImportedHashes, checkPasswords } from './passwords.ts'

const doctor = command({
  name: 'doctor',
  usage: '',
  summary: 'check configuration, database, keys, mail and this machine',
  details:
    'Changes nothing and sends nothing. Exit code 1 if a check failed (✗); points that deserve a second look (!) do not fail it.',
  takes: [0, 0],
  options: {},
  run: async (context) => {
    const findings: Finding[] = []
    const parsed = await checkConfiguration(await context.environment(), findings)
    if (parsed) {
      findings.push(...(await checkLinks(parsed)))
      for await (const finding of databaseFindings(context, parsed)) findings.push(finding)
      const { config, secrets } = parsed
      findings.push(await checkIssuer(config, await kidsOf(context)), ...(await checkMail(config, secrets.smtpUrl)))
      findings.push(await checkPasswords(config))
    }
    return report(findings, context)
  },
})

async function checkConfiguration(env: NodeJS.ProcessEnv, findings: Finding[]): Promise<ParsedConfig | undefined> {
  let parsed: ParsedConfig
  try {
    parsed = parseConfig(env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const { name, message } of error.faults) {
      findings.push(
        bad('configuration', `${name} ${message}`, 'see .env.example; the other checks need a valid configuration'),
      )
    }
    for (const message of error.misspelt) findings.push(unsure('configuration', message, 'see .env.example'))
    return undefined
  }
  const { config, secrets, warnings } = parsed
  const names = Object.keys(settings)
  const set = names.filter((name) => env[name] || env[`${name}_FILE`]).length
  findings.push(
    fine('configuration', `valid; ${set} of ${names.length} settings are set, the rest have their defaults`),
  )
  for (const warning of warnings) findings.push(unsure('configuration', warning, 'claviger config shows all settings'))
  if (!config.production) {
    const refused = await refusedInProduction(env, parsed)
    const which = refused.length > 0 ? `; production would refuse ${refused.join(', ')}` : ''
    findings.push(
      unsure(
        'configuration',
        `NODE_ENV is ${config.NODE_ENV}: insecure settings are accepted${which}`,
        'set NODE_ENV=production wherever others sign in',
      ),
    )
  }
  if (config.ISSUER.startsWith('https:') && config.TRUSTED_PROXIES.length === 0) {
    findings.push(
      unsure(
        'configuration',
        'ISSUER is https, so a proxy terminates TLS, but TRUSTED_PROXIES is empty: all clients seem to have the proxy’s address and share its rate limits',
        'set TRUSTED_PROXIES to the addresses of the proxy',
      ),
    )
  }
  if (secrets.serverSecrets.length > 1) {
    findings.push(
      unsure(
        'configuration',
        `CLAVIGER_SECRET has ${secrets.serverSecrets.length} entries`,
        'drop the old ones when no key is sealed with them and the longest session since the change is over',
      ),
    )
  }
  return parsed
}

/** The settings that would be refused with NODE_ENV=production. */
async function refusedInProduction(env: NodeJS.ProcessEnv, { config, database }: ParsedConfig): Promise<string[]> {
  const judgements = [
    async () => void parseConfig({ ...env, NODE_ENV: 'production' }),
    () => judgeDatabaseLink({ config: { ...config, production: true }, database }),
  ]
  const outcomes = await Promise.allSettled(judgements.map((judge) => judge()))
  const names = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' && outcome.reason instanceof ConfigError
      ? outcome.reason.faults.map(({ name }) => name)
      : [],
  )
  return [...new Set(names)]
}

async function checkLinks({ config, database }: ParsedConfig): Promise<Finding[]> {
  const check = 'database link'
  const remedy = 'use TLS with sslmode=verify-full; see “The database’s URL” in docs/operations.md'
  const findings = (await inspectLinks(database)).map((each) => {
    const message = describeLink(each)
    if (each.link.kind === 'outside') return (config.production ? bad : unsure)(check, message, remedy)
    if (each.link.kind !== 'unknown') return fine(check, message)
    return unsure(check, message, 'check the host in DATABASE_URL, and the name server')
  })
  // Of all hosts behind TLS the same is said.
  return [...new Map(findings.map((finding) => [finding.message, finding])).values()]
}

/** Reports a failure of the database half-way as one more finding. */
async function* databaseFindings(context: Context, { config, secrets }: ParsedConfig): AsyncGenerator<Finding> {
  try {
    const opened = await context.open()
    yield* await checkHosts(secrets.databaseUrl)
    yield* checkDatabase(opened, config)
    yield* await checkImportedHashes(opened.db)
  } catch (error) {
    yield bad('database', explainFailure(error).message, remedyFor(error))
  }
}

/** The `kid`s of the signing keys; undefined if they cannot be read, which another finding explains. */
async function kidsOf({ open }: Context): Promise<string[] | undefined> {
  try {
    return (await listKeys(await open())).map(({ kid }) => kid)
  } catch {
    return undefined
  }
}

function remedyFor(error: unknown): string {
  if (error instanceof ConfigError) return 'see .env.example'
  if (!(error instanceof Unreachable)) return 'look at the rights of the role, and at the log of PostgreSQL'
  // The message of a refusal says what to change.
  if (explainRefusal(error.cause) !== undefined) return 'see “The database’s URL” in docs/operations.md'
  return 'check DATABASE_URL, that PostgreSQL runs, and the way to it'
}

function report(findings: Finding[], { paint, width }: Pick<Context, 'paint' | 'width'>): Answer {
  const failed = findings.filter(({ status }) => status === 'failed').length
  const warned = findings.filter(({ status }) => status === 'warning').length
  const widest = Math.max(...findings.map(({ check }) => check.length))
  const lines = findings.map((finding, index) => {
    const repeated = findings[index - 1]?.check === finding.check
    const mark = { ok: paint('green', '✓'), warning: paint('yellow', '!'), failed: paint('red', '✗') }[finding.status]
    const name = (repeated ? '' : finding.check).padEnd(widest)
    const indent = widest + 4
    const remedy = finding.remedy
      ? `\n${' '.repeat(indent)}${paint('dim', `→ ${wrap(finding.remedy, indent + 2, width)}`)}`
      : ''
    return `${mark} ${paint('bold', name)}  ${wrap(finding.message, indent, width)}${remedy}`
  })
  const verdict =
    failed > 0
      ? paint('red', `${failed} of ${findings.length} checks failed.`)
      : warned > 0
        ? `Nothing failed; ${warned} ${warned === 1 ? 'point deserves' : 'points deserve'} a second look.`
        : paint('green', 'All is well.')
  return {
    json: { ok: failed === 0, checks: findings },
    text: [...lines, '', verdict].join('\n'),
    code: failed > 0 ? EXIT.failed : EXIT.ok,
  }
}

export const doctorCommands = [doctor]
