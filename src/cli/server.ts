import { describeTarget } from '../config/database-target.ts'
import { judgeDatabaseLink, parseConfig } from '../config/parse.ts'
import { isUnavailable } from '../db/errors.ts'
import { migrate } from '../db/migrate.ts'
import { explainRefusal } from '../db/refusals.ts'
import { Unreachable } from '../db/unreachable.ts'
import { prune } from '../prune.ts'
import { command } from './command.ts'
import { table } from './terminal.ts'

const serve = command({
  name: 'serve',
  usage: '',
  summary: 'run the server until SIGTERM or Ctrl-C',
  details: 'Migrates first. Logs to standard output, one JSON object a line.',
  takes: [0, 0],
  options: {},
  run: async ({ environment }) => {
    await environment()
    // Imported here, because no other command needs HTTP.
    const { run } = await import('../main.ts')
    await run()
    // From here on, only a signal ends the process.
    return await new Promise<never>(() => {})
  },
})

const migrateCommand = command({
  name: 'migrate',
  usage: '[--grant-to <role>]',
  summary: 'bring the schema of the database up to date',
  details: `“serve” does the same when it starts, if its role owns the tables. Two at a time are safe: the second finds nothing to do.

  --grant-to <role>   let this role serve: it gets what the server and the commands need, and can neither change the schema
                      nor change or delete audit events. Once is enough: later migrations keep it in step`,
  takes: [0, 0],
  options: { 'grant-to': { type: 'string' } },
  run: async ({ environment }, _args, { 'grant-to': grantTo }) => {
    const parsed = parseConfig(await environment())
    const migrateThere = async () => {
      await judgeDatabaseLink(parsed)
      return await migrate(parsed.secrets.databaseUrl, { grantTo })
    }
    const applied = await migrateThere().catch((error: unknown) => {
      throw isUnavailable(error) || explainRefusal(error)
        ? new Unreachable(describeTarget(parsed.database), error)
        : error
    })
    const lines = applied.length === 0 ? ['The schema is up to date.'] : applied.map((name) => `applied ${name}`)
    if (grantTo !== undefined) lines.push(`The role “${grantTo}” may serve.`)
    return { json: { applied, ...(grantTo === undefined ? {} : { granted_to: grantTo }) }, text: lines.join('\n') }
  },
})

const pruneCommand = command({
  name: 'prune',
  usage: '',
  summary: 'delete what has expired',
  details:
    'Sessions past their absolute end, stale counters, and audit events older than AUDIT_RETENTION_DAYS, in small\nbatches. A running server does it by itself.',
  takes: [0, 0],
  options: {},
  run: async ({ open, paint, width }) => {
    const opened = await open()
    // Only here: no other command needs what a server is made of.
    const { prunings } = await import('../deps.ts')
    const deleted = await prune(opened, prunings(opened.config))
    const rows = Object.entries(deleted).map(([name, count]) => [name, String(count)])
    return { json: { deleted }, text: table(['TABLE', 'ROWS DELETED'], rows, { paint, width }) }
  },
})

export const serverCommands = [serve, migrateCommand, pruneCommand]
