import { randomUUIDv7 } from 'node:crypto'
import type { Db } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import type { AuditEvent, TalliedEvent } from './events.ts'
import { insertion } from './queries.ts'

/** Records an event, in the transaction of the change that it describes, so that neither exists without the other. */
export async function record(db: Db, operation: Operation, event: AuditEvent): Promise<void> {
  await recording(operation, event).execute(db)
}

/** The same as part of another statement (`WITH recorded AS (…)`), to save a round trip. */
export function recording(operation: Operation, event: AuditEvent) {
  return insertion({ id: randomUUIDv7(), ...rowOf(operation, event) })
}

/** SQL that records an event as part of the statement that contains it. */
export type Recording = ReturnType<typeof recording>

/** The row of an event, without its id. */
export function rowOf({ now, actor, facts }: Operation, event: AuditEvent | TalliedEvent) {
  const { type, outcome, reason = null, userId = null, familyId = null, clientId = null, details = {} } = event
  return {
    at: now,
    type,
    outcome,
    reason,
    actor,
    user_id: userId,
    family_id: familyId,
    client_id: clientId,
    request_id: facts.requestId,
    address: facts.address,
    user_agent: facts.userAgent,
    details,
  }
}
