import { Problem } from '../errors.ts'
import type { Db, Tx } from './schema.ts'

/**
 * SQLSTATEs that mean "not now": connection (08), resources (53), operator intervention (57P), standby (25006), a database
 * that is closed to connections (55000), timeouts.
 */
const UNAVAILABLE = /^(08|53|57P0)|^(25006|55000|55P03|57014|40001|40P01|25P03|25P04)$/
/** Safe to run again from the start, because the transaction did not take place. */
const RETRYABLE = /^(40001|40P01)$/
const BROKEN_CONNECTION =
  /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENOENT)$/
const DRIVER_MESSAGE =
  /timeout exceeded when trying to connect|Connection terminated|Query read timeout|connection error and is not queryable|Client was closed|Cannot use a pool after calling end/

/** Whether the database could not be asked, as opposed to having answered that the question was wrong. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof AggregateError) return error.errors.every(isUnavailable)
  const code = (error as { code?: unknown }).code
  if (typeof code === 'string' && (UNAVAILABLE.test(code) || BROKEN_CONNECTION.test(code))) return true
  return DRIVER_MESSAGE.test(error.message)
}

/**
 * SQLSTATEs that say as much about every later statement on the same connection: it is broken or about to be closed (08,
 * 57P0, timeouts of idle ones), its session cannot write (25006: that of a demoted primary, or one opened while writes were
 * switched off), or it no longer has the prepared statements that we take it to have (26000, 42P05: a pooler).
 */
const SPOILT = /^(08|57P0)|^(25006|25P03|25P04|26000|42P05)$/

/** Whether an error belongs to the connection and not to the statement: on another connection the statement may succeed. */
export function belongsToConnection(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = String((error as { code?: unknown }).code)
  return SPOILT.test(code) || BROKEN_CONNECTION.test(code) || DRIVER_MESSAGE.test(error.message) || hasStalePlan(error)
}

/** A prepared statement whose columns were changed by a migration fails until it is prepared anew. Messages are translated. */
function hasStalePlan(error: Error): boolean {
  const { code, routine } = error as { code?: string; routine?: string }
  return code === '0A000' && routine === 'RevalidateCachedQuery'
}

/** Whether the database turned us away at the door: credentials that are not (or no longer) right, a database that is gone. */
export function isTurnedAway(error: unknown): boolean {
  return error instanceof Error && /^(28|3D)/.test(String((error as { code?: unknown }).code))
}

/** The name of the constraint that an error reports as violated, if it does. */
export function violatedConstraint(error: unknown): string | undefined {
  const { code, constraint } = error as { code?: string; constraint?: string }
  return code?.startsWith('23') ? constraint : undefined
}

/** Whether the database did not take what it was given. Nothing was changed. */
export function isDataFault(error: unknown): boolean {
  return error instanceof Error && /^(22|23)/.test(String((error as { code?: unknown }).code))
}

/** Whether somebody else holds a row that was asked for without waiting. */
export function isHeld(error: unknown): boolean {
  return (error as { code?: unknown }).code === '55P03'
}

const ATTEMPTS = 4

/**
 * Runs `work` in a transaction and commits what it returns. Deadlocks and serialisation failures are tried again three
 * times, then answered 503: the caller may try again, and nothing was changed.
 */
export async function transact<T>(db: Db, work: (tx: Tx) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction().execute(work)
    } catch (error) {
      if (!RETRYABLE.test(String((error as { code?: unknown }).code))) throw error
      if (attempt === ATTEMPTS) throw new Problem('unavailable', { reason: 'conflict', retryAfter: 1, cause: error })
    }
  }
}
