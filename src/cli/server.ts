import { describeTarget } from '../config/database-target.ts'
import { judgeDatabaseLink, parseConfig } from '../config/parse.ts'
import { distribute } from '../db/distribute.ts'
import { isUnavailable } from '../db/errors.ts'
import { migrate } from '../db/migrate.ts'
import type { Placement } from '../db/placement.ts'
import { explainRefusal } from '../db/refusals.ts'
import { Unreachable } from '../db/unreachable.ts'
import { prune } from '../prune.ts'
import { command } from './command.ts'
import { EXIT, Failure } from './exit.ts'
import { table } from './terminal.ts'
import { duration } from './times.ts'

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
    const applied = await reaching(parsed, () => migrate(parsed.secrets.databaseUrl, { grantTo }))
    const lines = applied.length === 0 ? ['The schema is up to date.'] : applied.map((name) => `applied ${name}`)
    if (grantTo !== undefined) lines.push(`The role “${grantTo}” may serve.`)
    return { json: { applied, ...(grantTo === undefined ? {} : { granted_to: grantTo }) }, text: lines.join('\n') }
  },
})

const WHERE: Record<Placement, string> = {
  everywhere: 'a copy on every machine',
  family: 'divided by session',
  coordinator: 'on the coordinator',
}

const distributeCommand = command({
  name: 'distribute',
  usage: '[--shards <n>]',
  summary: 'spread the tables over the machines of a Citus cluster',
  details: `Takes a migrated database, empty or in use, on the coordinator of a cluster whose workers are known to it. What lies
where it belongs is left alone: it may be run again. Rows are copied, and servers answer 503 to what writes meanwhile.
Restart the servers afterwards, so that they send refreshes for several shards at a time. See “Sharding” in docs/scaling.md.

  --shards <n>   how many parts the sessions are divided into, for good (default: as Citus is set, 32)`,
  takes: [0, 0],
  options: { shards: { type: 'string' } },
  run: async ({ environment, io, paint, width }, _args, { shards: stated }) => {
    const shards = stated === undefined ? undefined : Number(stated)
    if (shards !== undefined && !(Number.isInteger(shards) && shards >= 2 && shards <= MOST_SHARDS)) {
      throw new Failure(EXIT.usage, `--shards must be a number from 2 to ${MOST_SHARDS}`)
    }
    const parsed = parseConfig(await environment())
    const url = parsed.secrets.databaseUrl
    const onCopy = (rows: { families: number; users: number }) => io.stderr.write(`claviger: ${announce(rows)}\n`)
    const done = await reaching(parsed, () => distribute(url, { shards, onCopy }))
    const rows = done.placed.map(({ table: name, placement }) => [name, WHERE[placement]])
    const text = [
      ...(rows.length === 0
        ? ['Everything lies where it belongs.']
        : [table(['TABLE', 'LIES'], rows, { paint, width })]),
      `Sessions are in ${done.shards} shards on ${done.workers} ${done.workers === 1 ? 'worker' : 'workers'}.`,
    ].join('\n')
    return { json: done, text }
  },
})

const MOST_SHARDS = 1024
/** For each row, on machines that have nothing else to do, and on busy ones (docs/scaling.md). */
const [QUIET_SECONDS, BUSY_SECONDS] = [20e-6, 150e-6]

function announce({ families, users }: { families: number; users: number }): string {
  const rows = families + users
  const [from, to] = [duration(rows * QUIET_SECONDS), duration(rows * BUSY_SECONDS)]
  return `copying about ${families.toLocaleString('en')} sessions and ${users.toLocaleString('en')} accounts. Refreshes and sign-ins are answered 503 meanwhile, for ${from} to ${to}`
}

/** Judges the link, then works. @throws Unreachable if the database does not answer. */
async function reaching<T>(parsed: ReturnType<typeof parseConfig>, work: () => Promise<T>): Promise<T> {
  try {
    await judgeDatabaseLink(parsed)
    return await work()
  } catch (error) {
    throw isUnavailable(error) || explainRefusal(error)
      ? new Unreachable(describeTarget(parsed.database), error)
      : error
  }
}

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

export const serverCommands = [serve, migrateCommand, distributeCommand, pruneCommand]
