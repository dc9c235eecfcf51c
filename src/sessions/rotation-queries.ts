import { CompiledQuery } from 'kysely'
import type { Db } from '../db/schema.ts'
import { type FamilyFacts, type FamilyRow, factsOf, type Subject, type SubjectRow, subjectOf } from './queries.ts'
import type { Presented } from './rotation.ts'

export interface Rotation {
  family: string
  presented: Presented
  successor: { hash: Buffer; salt: Buffer }
  now: Date
  /** What the access token shall be narrowed to; null: all that was granted. */
  narrow: { scope: string[] | null; audience: string[] | null }
  perMinute: number
}

/** A family just rotated, and its user. */
export type Rotated = FamilyFacts & { subject: Subject }

/** What a rotation changes, and under which conditions; `a` holds what was asked for. */
const SET = `
  generation = f.generation + 1,
  current_hash = a.next_hash,
  previous_generation = f.generation,
  previous_hash = f.current_hash,
  salt = a.salt,
  rotated_at = a.now,
  rotation_key_hash = a.key_hash,
  retry_streak = CASE WHEN f.retried THEN f.retry_streak ELSE 0 END,
  retried = false,
  window_started_at = CASE WHEN f.window_started_at > a.now - interval '1 minute' THEN f.window_started_at ELSE a.now END,
  window_count = CASE WHEN f.window_started_at > a.now - interval '1 minute' THEN f.window_count + 1 ELSE 1 END`
const WHERE = `
  f.id = a.family
  AND f.generation = a.generation
  AND f.current_hash = a.hash
  AND f.delivery = a.delivery
  AND (a.client_id IS NULL OR f.client_id = a.client_id)
  AND f.ended_at IS NULL
  AND f.expires_at > a.now
  AND f.rotated_at + f.idle_seconds * interval '1 second' > a.now
  AND (f.window_count < $1 OR f.window_started_at <= a.now - interval '1 minute')
  AND u.id = f.user_id AND u.disabled_at IS NULL`
const RETURNING = `
  f.id, f.client_id, f.delivery, f.remember, f.scope, f.audience, f.amr, f.auth_time, f.rotated_at, f.expires_at,
  f.idle_seconds, u.id AS user_id, u.email, u.email_verified, u.roles, u.claims`
const COLUMNS = 'family, generation, hash, delivery, client_id, next_hash, salt, now, key_hash'

const ROTATE_ONE = `
  UPDATE families f SET ${SET}
  FROM (SELECT $2::uuid, $3::int, $4::bytea, $5::text, $6::text, $7::bytea, $8::bytea, $9::timestamptz, $10::bytea)
    AS a (${COLUMNS}), users u
  WHERE ${WHERE}
    AND ($11::text[] IS NULL OR $11 <@ f.scope)
    AND ($12::text[] IS NULL OR $12 <@ f.audience)
  RETURNING ${RETURNING}`

/**
 * Rows that somebody holds are passed over and count as misses. Waiting for them would make a whole batch wait, and two
 * batches that hold what the other one wants would wait for ever.
 */
const ROTATE_MANY = `
  WITH a (${COLUMNS}) AS MATERIALIZED (
    SELECT * FROM unnest($2::uuid[], $3::int[], $4::bytea[], $5::text[], $6::text[], $7::bytea[], $8::bytea[],
      $9::timestamptz[], $10::bytea[])
  ), free AS MATERIALIZED (
    SELECT f.id FROM families f WHERE f.id = ANY ($2) FOR NO KEY UPDATE SKIP LOCKED
  )
  UPDATE families f SET ${SET}
  FROM a, free, users u
  WHERE free.id = a.family AND ${WHERE}
  RETURNING ${RETURNING}`

/** One rotation in the order of COLUMNS. */
function columnsOf({ family, presented, successor, now }: Rotation): unknown[] {
  const { generation, hash, delivery, clientId, keyHash } = presented
  return [family, generation, hash, delivery, clientId, successor.hash, successor.salt, now, keyHash]
}

/**
 * The hot path: everything that must hold for a plain rotation, and the rotation, in one statement of its own. The row's
 * lock makes concurrent rotations of one family take turns; the second sees the first one's row and matches nothing.
 * The texts are constant: building them from their parts for each request would cost as much as half of running them.
 * @returns undefined when anything about the request is not plain: lock the family and decide.
 */
export async function rotateIfCurrent(db: Db, r: Rotation): Promise<Rotated | undefined> {
  const parameters = [r.perMinute, ...columnsOf(r), r.narrow.scope, r.narrow.audience]
  const { rows } = await db.executeQuery<RotatedRow>(CompiledQuery.raw(ROTATE_ONE, parameters))
  return rows[0] && rotatedOf(rows[0])
}

/** The same for several families at once, none of them twice and none with a narrowing. @returns by family, those rotated. */
export async function rotateThoseCurrent(db: Db, rotations: readonly Rotation[]): Promise<Map<string, Rotated>> {
  const [perMinute] = rotations.map((rotation) => rotation.perMinute)
  const rows = rotations.map(columnsOf)
  const columns = COLUMNS.split(',').map((_name, index) => rows.map((row) => row[index]))
  const found = await db.executeQuery<RotatedRow>(CompiledQuery.raw(ROTATE_MANY, [perMinute, ...columns]))
  return new Map(found.rows.map((row) => [row.id, rotatedOf(row)]))
}

function rotatedOf(row: RotatedRow): Rotated {
  return { ...factsOf(row), subject: subjectOf(row) }
}

type RotatedRow = FamilyRow & SubjectRow
