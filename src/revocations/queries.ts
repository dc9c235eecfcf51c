import { randomUUIDv7 } from 'node:crypto'
import { sql } from 'kysely'
import { deleteBatch } from '../db/delete-batch.ts'
import type { Db, RevocationInitiator, Tx } from '../db/schema.ts'
import type { Revocation } from './revocation.ts'

export async function insertRevocations(
  tx: Tx,
  now: Date,
  initiator: RevocationInitiator,
  revocations: readonly Revocation[],
): Promise<void> {
  const rows = revocations.map(columnsOf)
  const column = <K extends keyof Columns>(name: K): Columns[K][] => rows.map((row) => row[name])
  await sql`
    INSERT INTO revocations (id, kind, sid, sub, kid, initiator, revoked_at)
    SELECT id, kind, sid, sub, kid, ${initiator}, ${now}
    FROM unnest(${column('id')}::uuid[], ${column('kind')}::text[], ${column('sid')}::uuid[], ${column('sub')}::text[],
      ${column('kid')}::text[]) AS r (id, kind, sid, sub, kid)`.execute(tx)
}

interface Columns {
  id: string
  kind: Revocation['kind']
  sid: string | null
  sub: string | null
  kid: string | null
}

function columnsOf(revocation: Revocation): Columns {
  const row = { id: randomUUIDv7(), kind: revocation.kind, sid: null, sub: null, kid: null }
  switch (revocation.kind) {
    case 'session':
      return { ...row, sid: revocation.sid, sub: revocation.userId }
    case 'credential':
      return { ...row, sub: revocation.userId }
    case 'subject':
      return { ...row, sub: revocation.sub }
    case 'key':
      return { ...row, kid: revocation.kid }
    case 'all':
      return row
    default:
      return revocation satisfies never
  }
}

/** @returns how many. */
export async function deleteExpired(db: Db, before: Date, batch: number): Promise<number> {
  const where = sql`expires_at < ${before} ORDER BY expires_at`
  return await deleteBatch(db, 'revocations', { key: ['id'], where, limit: batch })
}
