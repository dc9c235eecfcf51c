import { sql } from 'kysely'
import type { Db } from './schema.ts'

/** A part of the families: those whose ids hash to a number from `from` to `to`, both included. */
interface Range {
  from: number
  to: number
  machine: number
}

/** Into which parts the database divides the families. In a database on one machine there is one. */
export interface Shards {
  isDivided(): boolean
  /** The part that a family belongs to, as a number. @param id a UUID. */
  of(id: string): number
  /** Where it lies, as a number. @param shard as `of` returns it. */
  machineOf(shard: number): number | undefined
  /** Asks the database again: families may have been distributed, or a shard split, since it was asked. */
  reload(db: Db): Promise<void>
}

/**
 * Asks the database how it divides the families. Nobody has to tell the program, so nobody can forget to.
 */
export async function readShards(db: Db): Promise<Shards> {
  let ranges = await readRanges(db)
  return {
    isDivided: () => ranges.length > 1,
    of: (id) => {
      if (ranges.length <= 1) return 0
      const hash = hashUuid(id)
      return ranges.findIndex(({ from, to }) => from <= hash && hash <= to)
    },
    machineOf: (shard) => ranges[shard]?.machine,
    reload: async (handle) => {
      ranges = await readRanges(handle)
    },
  }
}

async function readRanges(db: Db): Promise<Range[]> {
  const { rows: found } = await sql<{ citus: boolean }>`
    SELECT to_regclass('pg_catalog.pg_dist_shard') IS NOT NULL AS citus`.execute(db)
  if (!found[0]?.citus) return []
  // By name: a schema that is yet to be migrated has no such table.
  const { rows } = await sql<Range>`
    SELECT shardminvalue::int AS "from", shardmaxvalue::int AS "to",
      (SELECT min(groupid) FROM pg_catalog.pg_dist_placement AS p WHERE p.shardid = s.shardid) AS machine
    FROM pg_catalog.pg_dist_shard AS s
    WHERE logicalrelid = to_regclass('families') ORDER BY 1`.execute(db)
  return rows
}

/**
 * Whether the database refused a statement because the families that it names lie in more than one shard. Nothing was changed.
 * PostgreSQL itself raises 0A000 (`feature_not_supported`) for none of our statements but stale ones.
 */
export function spansShards(error: unknown): boolean {
  const { code, routine } = error as { code?: string; routine?: string }
  return code === '0A000' && routine !== 'RevalidateCachedQuery'
}

/**
 * What PostgreSQL’s `uuid_hash` makes of an id: the lookup3 hash by Bob Jenkins, of 16 bytes. Citus divides a table by this number.
 * @returns 32 bits, with a sign.
 */
export function hashUuid(id: string): number {
  const bytes = Buffer.from(id.replaceAll('-', ''), 'hex')
  const start = (0x9e3779b9 + bytes.length + 3923095) | 0
  let a = (start + bytes.readInt32LE(0)) | 0
  let b = (start + bytes.readInt32LE(4)) | 0
  let c = (start + bytes.readInt32LE(8)) | 0
  a = ((a - c) ^ rotate(c, 4)) | 0
  c = (c + b) | 0
  b = ((b - a) ^ rotate(a, 6)) | 0
  a = (a + c) | 0
  c = ((c - b) ^ rotate(b, 8)) | 0
  b = (b + a) | 0
  a = ((a - c) ^ rotate(c, 16)) | 0
  c = (c + b) | 0
  b = ((b - a) ^ rotate(a, 19)) | 0
  a = (a + c) | 0
  c = ((c - b) ^ rotate(b, 4)) | 0
  b = (b + a) | 0
  a = (a + bytes.readInt32LE(12)) | 0
  c = ((c ^ b) - rotate(b, 14)) | 0
  a = ((a ^ c) - rotate(c, 11)) | 0
  b = ((b ^ a) - rotate(a, 25)) | 0
  c = ((c ^ b) - rotate(b, 16)) | 0
  a = ((a ^ c) - rotate(c, 4)) | 0
  b = ((b ^ a) - rotate(a, 14)) | 0
  return ((c ^ b) - rotate(b, 24)) | 0
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}
