import { type RawBuilder, sql } from 'kysely'
import type { Parameter } from '../db/built-once.ts'
import { deleteBatch } from '../db/delete-batch.ts'
import { prefixOf } from '../db/prefix.ts'
import type { Db } from '../db/schema.ts'

/** When many accounts that fail from one network are taken for a spray: one password tried on each. */
export interface SprayRule {
  /** More distinct accounts than this within `withinMs`. */
  accounts: number
  withinMs: number
  /** For how long the network's budget is smaller then. */
  shrunkForMs: number
}

/** An account, existing or not, that an address could not sign in to. */
export interface FailedAccount {
  address: string | null
  account: Buffer
  rule: SprayRule
}

/**
 * SQL that notes a failure in the row of the network, as part of a statement that is built once. The row holds the accounts of the
 * last minutes, each with its latest failure; one too many empties it and makes the budget smaller. Nothing is noted
 * while it is, so that a network costs one event and one row, however long it goes on.
 * @param after the name of a common table expression whose locks come first.
 * @returns rows only if this failure was the one too many.
 */
export function notingFailure<Values extends { now: Date; failed: FailedAccount }>(
  parameter: Parameter<Values>,
  after: string,
) {
  const now = parameter((values) => values.now)
  const address = parameter(({ failed }) => failed.address)
  const account = parameter(({ failed }) => failed.account)
  const since = parameter((values) => new Date(values.now.getTime() - values.failed.rule.withinMs))
  const until = parameter((values) => new Date(values.now.getTime() + values.failed.rule.shrunkForMs))
  return sql`
    INSERT INTO login_sprays AS s (prefix, accounts, failed_at, last_failed_at)
    SELECT ${prefixOf(address)}, ARRAY[${account}::bytea], ARRAY[${now}::timestamptz], ${now}
    FROM (SELECT count(*) FROM ${sql.ref(after)}) AS locked WHERE ${address} IS NOT NULL
    ON CONFLICT (prefix) DO UPDATE SET last_failed_at = EXCLUDED.last_failed_at, (accounts, failed_at, shrunk_until) = (
      SELECT CASE WHEN too_many THEN '{}' ELSE accounts END, CASE WHEN too_many THEN '{}' ELSE failed_at END,
        CASE WHEN too_many THEN ${until}::timestamptz END
      FROM (
        SELECT array_agg(account) AS accounts, array_agg(at) AS failed_at,
          count(*) > ${parameter(({ failed }) => failed.rule.accounts)}::int AS too_many
        FROM (
          SELECT account, at FROM unnest(s.accounts, s.failed_at) AS failed (account, at)
          WHERE at > ${since} AND account <> ${account}
          UNION ALL SELECT ${account}, ${now}
        ) AS recent
      ) AS counted
    )
    WHERE s.shrunk_until IS NULL OR s.shrunk_until <= ${now}
    RETURNING s.shrunk_until`
}

/**
 * SQL that forgets an account which signed in after all, as part of another statement: mistyped passwords of an office
 * are no spray.
 * @param when the condition, on common table expressions whose locks come first.
 */
export function forgettingAccount(
  address: RawBuilder<string | null>,
  accounts: RawBuilder<readonly Buffer[]>,
  when: RawBuilder<unknown>,
) {
  return sql`
    UPDATE login_sprays SET (accounts, failed_at) = (
      SELECT coalesce(array_agg(account), '{}'), coalesce(array_agg(at), '{}')
      FROM unnest(accounts, failed_at) AS failed (account, at) WHERE account <> ALL (${accounts}::bytea[])
    )
    WHERE prefix = ${prefixOf(address)} AND accounts && ${accounts} AND ${when}`
}

/** Deletes a batch of networks from which nobody failed since `before` and whose budget is whole again. @returns how many. */
export async function deleteStaleSprays(db: Db, { before, now }: { before: Date; now: Date }, batch: number) {
  const where = sql`last_failed_at < ${before} AND coalesce(shrunk_until, ${before}) < ${now}`
  return await deleteBatch(db, 'login_sprays', { key: ['prefix'], where, limit: batch })
}
