import { CompiledQuery, sql } from 'kysely'
import { type Client, type Clients, onceForEach } from '../../clients/clients.ts'
import type { Narrowing } from '../../clients/grants.ts'
import type { Db } from '../../db/schema.ts'
import { type FamilyFacts, type FamilyRow, factsOf, type Subject, type SubjectRow, subjectOf } from '../queries.ts'
import type { Presented } from '../rotation.ts'

export interface Rotation {
  family: string
  presented: Presented
  successor: { hash: Buffer; salt: Buffer }
  /** The idle end is judged by this, so that waiting in our queues ends no session. */
  arrivedAt: Date
  /** What to narrow the access token to; null for all that was granted. */
  narrow: Narrowing
}

/** Rules that apply to every rotation of a batch. */
export interface RotationRules {
  clients: Clients
  /** How often one family may rotate. */
  perMinute: number
  /** How many bytes of JSON roles and custom claims may take together. With more, an access token might be too large. */
  room(clients: readonly Client[]): number
}

/** A family that has just been rotated, and its user. */
export type Rotated = FamilyFacts & { subject: Subject }

const COLUMNS =
  'family, generation, hash, delivery, client_id, next_hash, salt, arrived_at, key_hash, jkt, asked_scope, asked_audience'

/**
 * The hot path: one statement checks everything that a plain rotation requires, and rotates; $1 is now. The row lock
 * serialises concurrent rotations of a family: the second sees the row as the first has left it, and matches nothing.
 * Rows that are locked are skipped and match nothing either. Waiting for one would hold up the whole batch, and two
 * batches that wait for each other's rows would deadlock.
 *
 * Each mention of families names their ids, so that a database which divides them sends the whole statement to the one shard: without
 * that it would ask all, and one machine that is away would fail the refreshes of the others.
 *
 * The scopes and audiences of a request are passed as text separated by spaces, which neither may contain, because arrays
 * in PostgreSQL cannot hold lists of different lengths. The statement is a constant: building it for each request would
 * cost half as much as running it.
 */
const ROTATE = `
  WITH a (${COLUMNS}) AS MATERIALIZED (
    SELECT * FROM unnest($4::uuid[], $5::int[], $6::bytea[], $7::text[], $8::text[], $9::bytea[], $10::bytea[],
      $11::timestamptz[], $12::bytea[], $13::text[], $14::text[], $15::text[])
  ), clients (id, scopes, audiences) AS MATERIALIZED (
    SELECT id, string_to_array(scopes, ' '), string_to_array(audiences, ' ')
    FROM unnest($16::text[], $17::text[], $18::text[]) AS c (id, scopes, audiences)
  ), free AS MATERIALIZED (
    SELECT f.id FROM families f WHERE f.id = ANY ($4) FOR NO KEY UPDATE SKIP LOCKED
  )
  UPDATE families f SET
    generation = f.generation + 1,
    current_hash = a.next_hash,
    previous_generation = f.generation,
    previous_hash = f.current_hash,
    salt = a.salt,
    rotated_at = $1::timestamptz,
    rotation_key_hash = a.key_hash,
    retry_streak = CASE WHEN f.retried THEN f.retry_streak ELSE 0 END,
    retried = false,
    window_started_at = CASE WHEN f.window_started_at > $2::timestamptz THEN f.window_started_at ELSE $1 END,
    window_count = CASE WHEN f.window_started_at > $2 THEN f.window_count + 1 ELSE 1 END
  FROM a, free, clients c, users u
  WHERE free.id = a.family
    AND f.id = a.family
    AND f.id = ANY ($4)
    AND f.generation = a.generation
    AND f.current_hash = a.hash
    AND f.delivery = a.delivery
    AND (f.dpop_jkt IS NULL OR f.dpop_jkt = a.jkt)
    AND (a.client_id IS NULL OR f.client_id = a.client_id)
    AND f.ended_at IS NULL
    AND f.expires_at > $1
    AND a.arrived_at - f.rotated_at < f.idle_seconds * interval '1 second'
    AND (f.window_count < $3::int OR f.window_started_at <= $2)
    AND (a.asked_scope IS NULL OR string_to_array(a.asked_scope, ' ') <@ f.scope)
    AND (a.asked_audience IS NULL OR string_to_array(a.asked_audience, ' ') <@ f.audience)
    AND c.id = f.client_id
    AND coalesce(string_to_array(a.asked_scope, ' '), f.scope) && c.scopes
    AND coalesce(string_to_array(a.asked_audience, ' '), f.audience) && c.audiences
    AND u.id = f.user_id AND u.disabled_at IS NULL
    AND octet_length(u.claims::text) + octet_length(json_object(u.roles, u.roles)::text) / 2 + 1 <= $19::int
  RETURNING f.id, f.client_id, f.delivery, f.remember, f.scope, f.audience, f.amr, f.auth_time, f.rotated_at, f.expires_at,
    f.idle_seconds, f.dpop_jkt, u.id AS user_id, u.email, u.email_verified, u.roles, u.claims`

/** Length of the windows in which a family's rotations are counted. */
export const WINDOW_MS = 60_000

/** The values of one rotation, in the order of COLUMNS. */
function columnsOf({ family, presented, successor, arrivedAt, narrow }: Rotation): unknown[] {
  const { generation, hash, delivery, clientId, keyHash, proof } = presented
  const [scope, audience] = [narrow.scope?.join(' '), narrow.audience?.join(' ')]
  return [
    family,
    generation,
    hash,
    delivery,
    clientId,
    successor.hash,
    successor.salt,
    arrivedAt,
    keyHash,
    proof?.jkt,
    scope,
    audience,
  ]
}

/**
 * Rotates those of the families that need no decision. No family may occur twice.
 * @returns those that were rotated, by family. The others take the careful path.
 */
export async function rotateThoseCurrent(
  db: Db,
  now: Date,
  { clients, perMinute, room }: RotationRules,
  rotations: readonly Rotation[],
): Promise<Map<string, Rotated>> {
  const rows = rotations.map(columnsOf)
  const all = clients.values()
  const columns = COLUMNS.split(',').map((_name, index) => rows.map((row) => row[index]))
  const found = await db.executeQuery<FamilyRow & SubjectRow>(
    CompiledQuery.raw(ROTATE, [
      now,
      new Date(now.getTime() - WINDOW_MS),
      perMinute,
      ...columns,
      ...clientColumns(all),
      room(all),
    ]),
  )
  return new Map(found.rows.map((row) => [row.id, { ...factsOf(row), subject: subjectOf(row) }]))
}

const clientColumns = onceForEach((all: readonly Client[]): string[][] => [
  all.map(({ id }) => id),
  all.map(({ scopes }) => scopes.join(' ')),
  all.map(({ audiences }) => audiences.join(' ')),
])

/** A rotation that took place. The hash of its new token tells whether it is still the latest. */
export interface Made {
  family: string
  currentHash: Buffer
}

/**
 * Sets the time of rotations, except in families that have been rotated since or are locked.
 * @returns the families that have not been rotated since, and whether their time was set.
 */
export async function dateRotations(db: Db, rotatedAt: Date, made: readonly Made[]): Promise<Map<string, boolean>> {
  const families = made.map(({ family }) => family)
  const hashes = made.map(({ currentHash }) => currentHash)
  const { rows } = await sql<{ id: string; dated: boolean }>`
    WITH a AS MATERIALIZED (SELECT * FROM unnest(${families}::uuid[], ${hashes}::bytea[]) AS a (family, hash)),
    free AS MATERIALIZED (
      SELECT f.id FROM families f WHERE f.id = ANY (${families}) FOR NO KEY UPDATE SKIP LOCKED
    ), dated AS (
      UPDATE families f SET rotated_at = ${rotatedAt} FROM a, free
      WHERE free.id = a.family AND f.id = a.family AND f.id = ANY (${families}) AND f.current_hash = a.hash
      RETURNING f.id
    )
    SELECT f.id, EXISTS (SELECT FROM dated WHERE dated.id = f.id) AS dated
    FROM families f JOIN a ON f.id = a.family AND f.current_hash = a.hash
    WHERE f.id = ANY (${families})`.execute(db)
  return new Map(rows.map(({ id, dated }) => [id, dated]))
}
