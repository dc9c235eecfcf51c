import { listClients } from '../../clients/list.ts'
import type { Config } from '../../config/config.ts'
import { isUnprepared } from '../../db/errors.ts'
import { type Excess, explainExcess, findExcess } from '../../db/grants.ts'
import { MayNotMigrate, planMigrations, SchemaError } from '../../db/migrate.ts'
import { readPlaces } from '../../db/placed.ts'
import { type DatabaseFacts, databaseFacts, tableFacts } from '../../db/statistics.ts'
import { probeWrites } from '../../db/write-probe.ts'
import { keyPolicy } from '../../keys/lifecycle.ts'
import { inspectKeys, listKeys } from '../../keys/operator.ts'
import { everybodyHolds, listVerifiers } from '../../revocations/receipts/verifiers.ts'
import { countOverdue } from '../../sessions/pruning.ts'
import { listUsers } from '../../users/accounts.ts'
import type { Opened } from '../open.ts'
import { judgeClients } from './clients.ts'
import { bad, type Finding, fine, unsure } from './finding.ts'
import { judgeFamilies, judgeKeys, judgePlaces, judgeVerifiers, judgeWithdrawn } from './tables.ts'

const OLDEST_VERSION = 15

/** Checks the database. Findings are yielded one by one, so that those before a failure are not lost. */
export async function* checkDatabase(opened: Opened, config: Config): AsyncGenerator<Finding> {
  const { db, clock, serverKeys } = opened
  const facts = await databaseFacts(db)
  yield* judgeDatabase(facts, opened.connectedIn)
  yield* judgeConnections(facts, config)
  yield judgeClock(opened.hostOffset)
  const schema = await checkSchema(opened, facts)
  yield schema
  if (schema.status === 'failed') return
  yield judgeRole(facts.role, await findExcess(db, facts.role), config.production)

  const now = clock()
  yield* judgeWithdrawn(await listKeys(opened), config.WITHDRAWN_KEYS)
  const keys = await inspectKeys(opened)
  const next = keys.find(({ state }) => state === 'next')?.kid
  const awaited = next !== undefined && !(await everybodyHolds(db, now, next)) ? next : undefined
  yield* judgeKeys(keys, now, keyPolicy(config, serverKeys[0].fingerprint), awaited)
  yield* judgeClients(await listClients(opened), now, config)
  yield* judgeVerifiers((await listVerifiers(db, now)).verifiers)
  yield* judgeFamilies(await tableFacts(db, 'families'), await countOverdue(db, now))
  yield* judgePlaces(await readPlaces(db))
  if (config.REGISTRATION === 'closed' && (await listUsers(db, { limit: 1 })).length === 0) {
    yield unsure(
      'accounts',
      'there are none, and registration is closed',
      'claviger users create you@example.com --role admin',
    )
  }
}

export function judgeDatabase(facts: DatabaseFacts, connectedIn: number): Finding[] {
  const check = 'database'
  const version = `${Math.floor(facts.version / 10_000)}.${facts.version % 10_000}`
  const message = `PostgreSQL ${version} answers, connecting took ${Math.round(connectedIn)} ms; ${facts.connections} of ${facts.maxConnections} connections are in use`
  const findings = [
    facts.version >= OLDEST_VERSION * 10_000
      ? fine(check, message)
      : bad(check, `PostgreSQL ${version} is too old`, `upgrade to ${OLDEST_VERSION} or newer`),
  ]
  if (facts.standby)
    findings.push(bad(check, 'this is a standby: nothing can be written', 'point DATABASE_URL at the primary'))
  else if (facts.readOnly) {
    findings.push(
      bad(
        check,
        'default_transaction_read_only is on: nothing can be written',
        'ALTER DATABASE or ALTER ROLE … RESET default_transaction_read_only, and drop it from the options in DATABASE_URL',
      ),
    )
  }
  if (facts.fsync === 'off') {
    findings.push(
      unsure(check, 'fsync is off: a crash of its machine can destroy the data', 'switch it on, unless this is a test'),
    )
  }
  if (facts.synchronousCommit === 'off') {
    findings.push(
      unsure(
        check,
        'synchronous_commit is off: after a crash, sessions that were ended may live again',
        'switch it on for this database',
      ),
    )
  }
  if (facts.oldestTransaction > 300) {
    findings.push(
      unsure(
        check,
        `a transaction has been open for ${Math.round(facts.oldestTransaction / 60)} min: old row versions cannot be cleaned up and refreshes slow down`,
        'find it in pg_stat_activity (xact_start) and end it',
      ),
    )
  }
  return findings
}

/**
 * Serving as the owner of the tables is allowed, and as a superuser outside production. Any other excess is a mistake.
 */
export function judgeRole(role: string, excess: Excess | undefined, production: boolean): Finding {
  const check = 'role'
  if (!excess) return fine(check, `“${role}” may serve, and change neither the tables nor the audit trail`)
  const message = `${explainExcess(role, excess)}. Whoever takes over the server can change the audit trail`
  const remedy = 'make a role that only serves: see “Two roles” in docs/operations.md'
  const chosen = excess.kind === 'owner' || (excess.kind === 'superuser' && !production)
  return excess.holder === role && chosen ? fine(check, message, remedy) : unsure(check, message, remedy)
}

/** Compares the pools of one server with each limit: the database does not know how many servers there are. */
export function judgeConnections(
  facts: DatabaseFacts,
  { DATABASE_POOL_SIZE, PROCESSES }: Pick<Config, 'DATABASE_POOL_SIZE' | 'PROCESSES'>,
): Finding[] {
  const check = 'connections'
  const needed = DATABASE_POOL_SIZE * PROCESSES
  const what = PROCESSES === 1 ? 'DATABASE_POOL_SIZE' : 'PROCESSES × DATABASE_POOL_SIZE'
  const { connections, maxConnections, reservedConnections, roleConnections, databaseConnections } = facts
  const limits = [
    { of: 'CONNECTION LIMIT of the role', allows: roleConnections },
    { of: 'CONNECTION LIMIT of the database', allows: databaseConnections },
    { of: 'max_connections, without those that are reserved,', allows: maxConnections - reservedConnections },
  ]
  const findings = limits
    .filter(({ allows }) => allows !== null && allows < needed)
    .map(({ of, allows }) =>
      unsure(
        check,
        `${of} allows ${allows}, but ${what} is ${needed}: requests wait for each other`,
        'raise it to the pools of all replicas and two for each command, or lower DATABASE_POOL_SIZE',
      ),
    )
  if (connections > 0.9 * maxConnections) {
    findings.push(unsure(check, 'few are left', 'raise max_connections, or lower DATABASE_POOL_SIZE of the replicas'))
  }
  return findings
}

async function checkSchema({ db }: Opened, { standby, readOnly }: DatabaseFacts): Promise<Finding> {
  const check = 'schema'
  try {
    const pending = await planMigrations(db)
    if (pending.length > 0) {
      return bad(check, `not up to date: ${pending.join(', ')}`, 'run claviger migrate, or start the server')
    }
    if (!standby && !readOnly) await probeWrites(db)
    return fine(check, 'up to date')
  } catch (error) {
    if (error instanceof SchemaError || error instanceof MayNotMigrate || isUnprepared(error)) {
      return bad(check, (error as Error).message, 'see “Two roles” and “Beside other programs” in docs/operations.md')
    }
    throw error
  }
}

export function judgeClock(hostOffset: number): Finding {
  const size = Math.abs(hostOffset)
  const amount = size < 1000 ? `${size} ms` : `${(size / 1000).toFixed(1)} s`
  const message =
    size < 2
      ? 'this host and the database agree'
      : `this host is ${amount} ${hostOffset < 0 ? 'behind' : 'ahead of'} the database`
  if (size <= 2000) return fine('clock', message)
  return unsure(
    'clock',
    `${message}; the server goes by the database, but verifiers go by their own clocks`,
    'run NTP on both machines',
  )
}
