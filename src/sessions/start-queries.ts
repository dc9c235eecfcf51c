import { sql } from 'kysely'
import type { Recording } from '../audit/audit.ts'
import type { Tx } from '../db/schema.ts'
import { liveAt } from './live-queries.ts'
import type { FamilyFacts } from './queries.ts'

export interface NewFamily extends Omit<FamilyFacts, 'rotatedAt'> {
  userId: string
  currentHash: Buffer
  userAgent: string | null
  address: string | null
}

/**
 * Starts a family. The new one is never among the surplus, even though others may have been used since its sign-in began.
 * @param event recorded by the same statement.
 * @returns the surplus: ids of the user's other live families, without the `keep` that were used last.
 */
export async function insertFamily(
  tx: Tx,
  now: Date,
  family: NewFamily,
  { event, keep }: { event: Recording; keep: number },
): Promise<string[]> {
  // Written out, as the event is. The new family is left out by its id: spread over machines, the statement may see it already.
  const { rows } = await sql<{ id: string }>`
    WITH recorded AS (${event}), started AS (
      INSERT INTO families (id, user_id, client_id, delivery, remember, scope, audience, amr, auth_time, created_at,
        expires_at, idle_seconds, dpop_jkt, user_agent, address, generation, current_hash, rotated_at, window_started_at)
      VALUES (${family.id}, ${family.userId}, ${family.clientId}, ${family.delivery}, ${family.remember}, ${family.scope},
        ${family.audience}, ${family.amr}, ${family.authTime}, ${now}, ${family.expiresAt}, ${family.idleSeconds},
        ${family.dpopJkt}, ${family.userAgent}, ${family.address}, 0, ${family.currentHash}, ${now}, ${now})
    )
    SELECT f.id FROM families AS f WHERE f.user_id = ${family.userId} AND f.id <> ${family.id} AND ${liveAt(now)}
    ORDER BY f.rotated_at DESC, f.id DESC OFFSET ${keep}`.execute(tx)
  return rows.map((row) => row.id)
}
