import type { Config } from '../config.ts'
import { pendingMigrations } from '../db/migrate.ts'
import { dueAt, type KeyFacts, keyPolicy } from '../keys/lifecycle.ts'
import { inspectKeys } from '../keys/operator.ts'
import { bad, type Finding, fine, unsure } from './finding.ts'
import type { Opened } from './open.ts'
import { type DatabaseFacts, databaseFacts, type FamilyTableFacts, familyTableFacts, hasUsers } from './queries.ts'
import { relative, when } from './times.ts'

const OLDEST_VERSION = 15
const HOUR = 3_600_000

/** Everything that can be asked of the database. */
export async function checkDatabase(opened: Opened, config: Config): Promise<Finding[]> {
  const { db, clock, serverKeys } = opened
  const findings = judgeDatabase(await databaseFacts(db), opened.connectedIn)
  findings.push(judgeClock(opened.hostOffset))
  const pending = await pendingMigrations(db)
  if (pending.length > 0) {
    return [
      ...findings,
      bad('schema', `not up to date: ${pending.join(', ')}`, 'run claviger migrate, or start the server'),
    ]
  }
  findings.push(fine('schema', 'up to date'))

  const now = clock()
  findings.push(...judgeKeys(await inspectKeys(opened), now, config, serverKeys[0].fingerprint))
  findings.push(...judgeFamilies(await familyTableFacts(db, now)))
  if (config.REGISTRATION === 'closed' && !(await hasUsers(db))) {
    findings.push(
      unsure(
        'accounts',
        'there are none, and registration is closed',
        'claviger users create you@example.com --role admin',
      ),
    )
  }
  return findings
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
  if (facts.connections > 0.9 * facts.maxConnections) {
    findings.push(
      unsure(check, 'few connections are left', 'raise max_connections, or lower DATABASE_POOL_SIZE of the replicas'),
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

export function judgeKeys(
  keys: readonly KeyFacts[],
  now: Date,
  config: Pick<Config, 'KEY_ROTATION_DAYS'>,
  sealWith: string,
): Finding[] {
  const check = 'signing keys'
  const policy = keyPolicy(config.KEY_ROTATION_DAYS, sealWith)
  const findings: Finding[] = []
  const closed = keys.filter((key) => !key.usable)
  for (const key of closed) {
    const message = `CLAVIGER_SECRET does not open the ${key.state} key ${key.kid}`
    const remedy =
      'add the CLAVIGER_SECRET that sealed it to the end of the list; if that is lost: claviger keys rotate --compromised --all'
    findings.push(key.state === 'retiring' ? unsure(check, message, remedy) : bad(check, message, remedy))
  }
  const active = keys.find((key) => key.state === 'active')
  if (!active) return [...findings, unsure(check, 'there is no active key', 'start the server: it makes one')]
  if (active.usable) {
    const next = keys.find((key) => key.state === 'next')
    const due = dueAt(next ?? active, policy)
    const since = active.activatedAt ?? active.createdAt
    findings.push(
      fine(check, `${active.kid} signs since ${when(since, now)}; the next one takes over ${relative(due, now)}`),
    )
    if (now.getTime() - due.getTime() > HOUR) {
      findings.push(
        unsure(
          check,
          `that was due ${relative(due, now)}`,
          'keys rotate only while a server runs: start one, or look at its log',
        ),
      )
    }
  }
  const older = keys.filter((key) => key.usable && key.sealedBy !== sealWith).length
  if (older > 0) {
    findings.push(
      unsure(
        check,
        `${older} sealed with an older CLAVIGER_SECRET`,
        'a running server re-seals them within a minute: keep the old secret until then',
      ),
    )
  }
  return findings
}

export function judgeFamilies(facts: FamilyTableFacts): Finding[] {
  const check = 'sessions'
  const { updates, hotUpdates, live, dead, bytes, overdue } = facts
  const share = updates > 0 ? Math.floor((100 * hotUpdates) / updates) : 100
  const hot = updates > 0 ? `, ${share} % of updates are HOT` : ''
  const findings = [fine(check, `${whole(live)} rows and ${whole(dead)} dead ones in ${size(bytes)}${hot}`)]
  if (updates >= 1000 && share < 90) {
    findings.push(
      unsure(
        check,
        `only ${share} % of updates are HOT: refreshes write to every index`,
        'drop indexes that were added on columns which a refresh changes, and run VACUUM FULL families in a quiet hour',
      ),
    )
  }
  if (dead > 1000 && dead > 2 * live) {
    findings.push(
      unsure(
        check,
        'most of the table is dead rows',
        'look for long transactions and for autovacuum being off, then VACUUM families',
      ),
    )
  }
  if (overdue > 0) {
    const amount = overdue > 10_000 ? 'more than 10,000' : whole(overdue)
    findings.push(
      unsure(
        check,
        `${amount} expired more than a day ago and are still here`,
        'a running server prunes by itself; or run claviger prune',
      ),
    )
  }
  return findings
}

function whole(number: number): string {
  return number.toLocaleString('en')
}

function size(bytes: number): string {
  return bytes < 1024 ** 2 ? `${Math.ceil(bytes / 1024)} kB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`
}
