import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '../errors.ts'
import { announceCommit } from './after-commit.ts'
import { explainRefusal } from './refusals.ts'
import type { Db, Tx } from './schema.ts'

/**
 * SQLSTATEs that mean "not now": connection (08), resources (53), operator intervention (57P), standby (25006), a
 * database that is closed to connections (55000), timeouts.
 */
const UNAVAILABLE = /^(08|53|57P0)|^(25006|55000|55P03|57014|40001|40P01|25P03|25P04)$/
/** Safe to run again from the start, because the transaction was rolled back. */
const RETRYABLE = /^(40001|40P01)$/
const BROKEN_CONNECTION =
  /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENOENT)$/
const DRIVER_MESSAGE =
  /timeout exceeded when trying to connect|timeout expired|Connection terminated|Query read timeout|connection error and is not queryable|Client was closed|Cannot use a pool after calling end/

/**
 * The routines of Citus that report, as an internal error, that a worker ended at the COMMIT, or the coordinator while it waited for a
 * worker. Nobody knows whether it was committed.
 */
const MACHINE_LOST = /^(ErrorIfPostCommitFailedShardPlacements|ProcessWaitEvents)$/

/** Whether the database could not do its work now, as opposed to rejecting a faulty statement. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof AggregateError) return error.errors.every(isUnavailable)
  if (explainRefusal(error) !== undefined) return false
  const { code, routine = '' } = error as { code?: unknown; routine?: string }
  if (typeof code === 'string' && (UNAVAILABLE.test(code) || BROKEN_CONNECTION.test(code))) return true
  if (code === 'XX000' && MACHINE_LOST.test(routine)) return true
  return DRIVER_MESSAGE.test(error.message)
}

/**
 * SQLSTATEs after which later statements on the same connection would fail too: it is broken or about to be closed (08,
 * 57P0, timeouts), or its session cannot write (25006: the primary was demoted, or writes were off when it was opened).
 */
const SPOILT = /^(08|57P0)|^(25006|25P03|25P04)$/

/** Whether the connection is at fault and not the statement, which may succeed on another connection. */
export function belongsToConnection(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = codeOf(error)
  const broken = SPOILT.test(code) || BROKEN_CONNECTION.test(code) || DRIVER_MESSAGE.test(error.message)
  return broken || hasStaleStatements(error)
}

/** Whether the session, or the whole server, is read-only. */
export function cannotWrite(error: unknown): boolean {
  return codeOf(error) === '25006'
}

/**
 * Whether a prepared statement is stale: a pooler has lost it, or a migration has changed its columns, or those of a function in it
 * while it waited for the migration. The latter two are recognised by the routine of PostgreSQL that raises the error, because
 * messages are translated.
 */
export function hasStaleStatements(error: unknown): boolean {
  const { routine = '' } = error as { routine?: string }
  return /^26000|^0A000 RevalidateCachedQuery$|^42804 build_attrmap_by_position$/.test(`${codeOf(error)} ${routine}`)
}

/** Whether the server, the database or the role has reached its limit of connections. */
export function isCrowded(error: unknown): boolean {
  return codeOf(error) === '53300'
}

/** Whether no answer came in time, not even a refusal. */
export function isSilence(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout'
}

/** Whether the connection ended during a statement, so that its effect is unknown. */
export function isLost(error: unknown): boolean {
  const message = error instanceof Error ? error.message : ''
  return /^(08|57P0[125]|25P0[34])|^(ECONNRESET|EPIPE)$/.test(codeOf(error)) || /terminated unexpectedly/.test(message)
}

/** Whether the statement was refused before it did anything, or never sent. @param begins it only opens a transaction. */
export function changedNothing(error: unknown, begins = false): boolean {
  const unsent = error instanceof Error && /is not queryable/.test(error.message)
  return cannotWrite(error) || hasStaleStatements(error) || unsent || (begins && isLost(error))
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | undefined)?.code)
}

/** Whether the connection was refused because the credentials are not (or no longer) right, or the database is gone. */
export function isTurnedAway(error: unknown): boolean {
  return error instanceof Error && /^(28|3D)/.test(codeOf(error))
}

/**
 * Whether the database answers, but tables, columns or the schema are missing or closed to this role. Clients are told of
 * an outage; an operator has to look into it.
 */
export function isUnprepared(error: unknown): boolean {
  return error instanceof Error && /^(42P01|42703|42883|3F000|42501)$/.test(codeOf(error))
}

/** Whether a table or a column is missing: a migration has yet to make it. */
export function lacksSchema(error: unknown): boolean {
  return /^(42P01|42703)$/.test(codeOf(error))
}

/** The name of the constraint that was violated, if that is the error. */
export function violatedConstraint(error: unknown): string | undefined {
  const { code, constraint, message = '' } = error as { code?: string; constraint?: string; message?: string }
  if (!code?.startsWith('23')) return undefined
  // Citus appends the number of the shard, and of an error on another machine it passes on the message only.
  return (constraint ?? / constraint "(.*)"/.exec(message)?.[1])?.replace(/_\d{6,}$/, '')
}

/** Whether the database rejected the values that it was given. Nothing was changed. */
export function isDataFault(error: unknown): boolean {
  return error instanceof Error && /^(22|23)/.test(codeOf(error))
}

/** Whether a statement was ignored because an earlier one in the same transaction had failed. */
export function inFailedTransaction(error: unknown): boolean {
  return (error as { code?: unknown }).code === '25P02'
}

/** Whether the database gave the transaction up because it and another one waited for each other. */
export function isDeadlock(error: unknown): boolean {
  return codeOf(error) === '40P01'
}

/** Whether another transaction holds a row that was to be locked without waiting. */
export function isHeld(error: unknown): boolean {
  return codeOf(error) === '55P03'
}

const ATTEMPTS = 4

/**
 * Runs `work` in a transaction and commits it. After a deadlock or a serialisation failure, `work` is run again after a
 * moment, up to three times; then the answer is 503, nothing having been changed. If the connection is lost before the
 * commit, `work` is run again once.
 */
export async function transact<T>(db: Db, work: (tx: Tx) => Promise<T>): Promise<T> {
  let lost = false
  for (let attempt = 1; ; attempt++) {
    let committing = false
    try {
      const { result, tx } = await db.transaction().execute(async (tx) => {
        const result = await work(tx)
        committing = true
        return { result, tx }
      })
      announceCommit(tx)
      return result
    } catch (error) {
      const again: boolean = !lost && !committing && (changedNothing(error) || isLost(error))
      lost ||= again
      if (again) continue
      if (!RETRYABLE.test(codeOf(error))) throw error
      if (attempt >= ATTEMPTS) throw new Problem('unavailable', { reason: 'conflict', retryAfter: 1, cause: error })
      // Begun again at once, it could take the row before the one that waits for it wakes up, and lock it out again.
      await sleep(attempt * (10 + Math.random() * 40))
    }
  }
}
