import { type RawBuilder, sql } from 'kysely'
import { builtOnce } from '../db/built-once.ts'
import type { Db } from '../db/schema.ts'
import { columnsOfU, type User } from '../db/user.ts'
import { FAILURES_TOGETHER, unmeasured } from './counter-queries.ts'
import { type FailedAccount, notingFailure } from './spray-queries.ts'

/** When attempts are refused without checking the password. */
interface BackoffRule {
  /** How many failures start the back-off. */
  threshold: number
  /** How long the first refusal lasts. Each further failure doubles it. */
  firstSeconds: number
  longestSeconds: number
  /** An attempt that has been in flight for longer has died with its server. */
  longestFlightSeconds: number
}

/**
 * An attempt that may go on to the hash. It counts as failed until it has succeeded. Its counter is kept in one row for
 * each entry of CLAVIGER_SECRET, all with the same values, so that no counter is lost while the list changes on one
 * replica after the other.
 */
export interface Attempt {
  identifiers: readonly Buffer[]
  /** Of this counter, this attempt included. */
  failures: number
  /** Of all counters of the account, this attempt included. */
  ofAccount: number
  blockedUntil: Date
}

/** An account that may not exist: by the normalised address that was typed, or by the id of the user who is signed in. */
export type Wanted = { by: 'email' | 'id'; value: string }

/** The counters of what was presented. That of a device counts if the device is known to the account that is wanted. */
export interface Counters {
  /** Of the address that was typed, in ascending order. */
  identifiers: readonly Buffer[]
  devices: readonly { userId: string; identifier: Buffer }[]
}

/** Each is a step in an index: a hundred imported kinds of hashes must not slow down every attempt. */
const MOST_PARAMETERS = 32

interface Asked {
  counters: Counters
  wanted: Wanted
  now: Date
  rule: BackoffRule
}

type Answer = (User | { id: null }) &
  Pick<Attempt, 'blockedUntil' | 'ofAccount'> & { failures: number | null; device: Buffer | null; inUse: string[] }

const reservation = (account: RawBuilder<unknown>) =>
  builtOnce<Asked, Answer>((parameter) => {
    const now = parameter((asked) => asked.now)
    const seconds = parameter((asked) => asked.now.getTime() / 1000)
    const identifiers = sql`${parameter(({ counters }) => counters.identifiers)}::bytea[]`
    const users = parameter(({ counters }) => counters.devices.map(({ userId }) => userId))
    const devices = parameter(({ counters }) => counters.devices.map(({ identifier }) => identifier))
    const threshold = parameter(({ rule }) => rule.threshold)
    const first = parameter(({ rule }) => rule.firstSeconds)
    const longest = parameter(({ rule }) => rule.longestSeconds)
    const blockedAfter = (failures: RawBuilder<unknown>) => sql`
      CASE WHEN ${failures} >= ${threshold}::int THEN to_timestamp(${seconds}::float8
        + least(${longest}::int, ${first}::int * 2 ^ least(20, ${failures} - ${threshold}::int)))
      ELSE ${NOT_BLOCKED} END`
    const oldestInFlight = parameter((asked) => new Date(asked.now.getTime() - asked.rule.longestFlightSeconds * 1000))
    const oneMore = sql`greatest(f.failures + 1, EXCLUDED.failures)`
    return sql`
    WITH account AS (
      SELECT * FROM ${account}(${parameter(({ wanted }) => wanted.value)})
    ), known AS (
      SELECT identifier FROM unnest(${users}::uuid[], ${devices}::bytea[]) AS device (user_id, identifier)
      JOIN account ON account.id = device.user_id LIMIT 1
    ), counter AS (
      SELECT identifier, true AS of_device FROM known UNION ALL
      SELECT unnest(${identifiers}), false WHERE NOT EXISTS (SELECT FROM known)
    ), held AS MATERIALIZED (${heldRows(sql`ARRAY(SELECT identifier FROM counter)`)}), so_far AS (
      SELECT coalesce(max(failures), 0) AS failures, coalesce(max(blocked_until), ${NOT_BLOCKED}) AS blocked_until FROM held
    ), counted AS (
      INSERT INTO login_failures AS f
        (identifier_hash, of_device, user_id, failures, in_flight, blocked_until, last_attempt_at)
      SELECT identifier, of_device, (SELECT id FROM account), so_far.failures + 1, 1,
        ${blockedAfter(sql`(so_far.failures + 1)`)}, ${now}
      FROM so_far, counter
      WHERE so_far.blocked_until <= ${now} ORDER BY identifier
      ON CONFLICT (identifier_hash) DO UPDATE SET
        user_id = EXCLUDED.user_id,
        failures = ${oneMore},
        in_flight = 1 + CASE WHEN f.last_attempt_at > ${oldestInFlight} THEN f.in_flight ELSE 0 END,
        blocked_until = ${blockedAfter(oneMore)},
        last_attempt_at = ${now}
      WHERE f.blocked_until <= ${now}
      RETURNING failures, blocked_until
    ), reserved AS (
      SELECT max(failures) AS failures, max(blocked_until) AS blocked_until FROM counted
      HAVING count(*) = (SELECT count(*) FROM counter)
    ), others AS (
      SELECT ${FAILURES_TOGETHER} AS failures FROM login_failures WHERE user_id = (SELECT id FROM account)
        AND (of_device OR identifier_hash = ANY(${identifiers}))
        AND identifier_hash <> ALL(ARRAY(SELECT identifier FROM counter))
    )
    SELECT reserved.failures, (reserved.failures + others.failures)::int AS "ofAccount",
      reserved.blocked_until AS "blockedUntil", ${columnsOfU}, (SELECT identifier FROM known) AS device,
      users_hash_parameters(${sql.lit(MOST_PARAMETERS)}) AS "inUse"
    FROM set_config('synchronous_commit', 'off', true), others LEFT JOIN reserved ON true LEFT JOIN account AS u ON true`
  })
const reserve = { email: reservation(sql`user_by_email`), id: reservation(sql`user_by_id`) }

/**
 * Finds an account and counts an attempt on it as failed before it is made, in one statement. Otherwise an attacker
 * could send many guesses at the same moment, and all would get through before the first is counted. Rows are locked in
 * ascending order, so that two attempts do not deadlock. If another replica inserts one of the rows at this very moment
 * and that row refuses, the other rows have counted an attempt that is not made: one failure too many, in flight until
 * the next attempt.
 *
 * The other counters of the account are read and not locked: the failures of a stranger must not hold up a known device.
 * Attempts at the same moment on several devices therefore do not see each other.
 *
 * Its commit does not wait for the disk: that of the decision does, before anybody is answered (docs/adr/0037). So it must not be part of
 * a transaction, which would not wait either.
 * @param db not a transaction.
 * @returns no attempt while attempts are refused. `counter` is the counter that decided, and `inUse` holds the parameters of
 * stored hashes, as in PHC strings.
 */
export async function reserveAttempt(
  db: Db,
  asked: Asked,
): Promise<{ user: User | undefined; counter: readonly Buffer[]; attempt: Attempt | undefined; inUse: string[] }> {
  const [row] = await reserve[asked.wanted.by](db, asked)
  if (!row) throw new Error('a row that is always there is missing')
  const { failures, ofAccount, blockedUntil, device, inUse, ...user } = row
  const counter = device ? [device] : asked.counters.identifiers
  return {
    user: user.id === null ? undefined : user,
    counter,
    attempt: failures === null ? undefined : { identifiers: counter, failures, ofAccount, blockedUntil },
    inUse,
  }
}

/** Earlier than any clock, because the clocks of two replicas may differ a little, which must not look like a block. */
const NOT_BLOCKED = sql`'epoch'::timestamptz`

/**
 * Locks the rows of a counter, in ascending order as in reserveAttempt, so that two that want the same rows do not
 * deadlock.
 */
const heldRows = (identifiers: RawBuilder<unknown>) => sql`
  SELECT identifier_hash, failures, blocked_until FROM login_failures
  WHERE identifier_hash = ANY(${identifiers}) ORDER BY identifier_hash FOR UPDATE`

/** Uncounts an attempt, and ends the refusals that it started. */
export async function releaseAttempt(db: Db, attempt: Attempt, threshold: number): Promise<void> {
  await sql`
    WITH held AS MATERIALIZED (${heldRows(sql`${attempt.identifiers}::bytea[]`)})
    UPDATE login_failures AS f SET
      failures = greatest(0, f.failures - 1),
      in_flight = greatest(0, f.in_flight - 1),
      blocked_until = CASE WHEN f.blocked_until = ${attempt.blockedUntil} OR f.failures <= ${threshold}
        THEN ${NOT_BLOCKED} ELSE f.blocked_until END
    FROM held WHERE f.identifier_hash = held.identifier_hash`.execute(db)
}

interface Settlement {
  now: Date
  attempt: Attempt
  failed: FailedAccount
}

const settle = builtOnce<Settlement, { spray: boolean }>(
  (parameter) => sql`
    WITH held AS MATERIALIZED (${heldRows(unmeasured(parameter(({ attempt }) => attempt.identifiers)))}), settled AS (
      UPDATE login_failures AS f SET in_flight = greatest(0, f.in_flight - 1)
      FROM held WHERE f.identifier_hash = held.identifier_hash RETURNING 1
    ), noted AS (${notingFailure(parameter, 'settled')})
    SELECT EXISTS (SELECT FROM noted WHERE shrunk_until IS NOT NULL) AS spray`,
)

/**
 * Notes that an attempt has failed, as it was counted from the start. The row of the network is locked last, as by a sign-in, so
 * that the two do not deadlock.
 * @returns whether, as of this failure, too many accounts have failed from the network of the address.
 */
export async function settleAttempt(db: Db, settlement: Settlement): Promise<boolean> {
  const [row] = await settle(db, settlement)
  return row?.spray ?? false
}
