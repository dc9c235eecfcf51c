import { sql } from 'kysely'
import { type Recording, recorded } from '../audit/audit.ts'
import { builtOnce } from '../db/built-once.ts'
import type { Tx } from '../db/schema.ts'
import { liveAt } from './live-queries.ts'
import type { FamilyFacts } from './queries.ts'

export interface NewFamily extends Omit<FamilyFacts, 'rotatedAt'> {
  userId: string
  currentHash: Buffer
  userAgent: string | null
  address: string | null
}

interface Start {
  now: Date
  family: NewFamily
  /** Recorded by the same statement. */
  event: Recording
  /** How many of the user's other families may stay. */
  keep: number
}

const insertRecorded = builtOnce<Start, { id: string }>((parameter) => {
  const now = parameter((start) => start.now)
  const of = <Name extends keyof NewFamily>(name: Name) => parameter(({ family }) => family[name])
  const [id, userId] = [of('id'), of('userId')]
  // The new family is left out by its id: spread over machines, the statement may see it already.
  return sql`
    WITH recorded AS (${recorded(parameter, ({ event }) => event)}), started AS (
      INSERT INTO families (id, user_id, client_id, delivery, remember, scope, audience, amr, auth_time, created_at,
        expires_at, idle_seconds, dpop_jkt, user_agent, address, generation, current_hash, rotated_at, window_started_at)
      VALUES (${id}, ${userId}, ${of('clientId')}, ${of('delivery')}, ${of('remember')}, ${of('scope')},
        ${of('audience')}, ${of('amr')}, ${of('authTime')}, ${now}, ${of('expiresAt')}, ${of('idleSeconds')},
        ${of('dpopJkt')}, ${of('userAgent')}, ${of('address')}, 0, ${of('currentHash')}, ${now}, ${now})
    )
    SELECT f.id FROM families AS f WHERE f.user_id = ${userId} AND f.id <> ${id} AND ${liveAt(now)}
    ORDER BY f.rotated_at DESC, f.id DESC OFFSET ${parameter(({ keep }) => keep)}`
})

/**
 * Starts a family. The new one is never among the surplus, even though others may have been used since its sign-in began.
 * @returns the surplus: ids of the user's other live families, without the `keep` that were used last.
 */
export async function insertFamily(tx: Tx, start: Start): Promise<string[]> {
  return (await insertRecorded(tx, start)).map((row) => row.id)
}
