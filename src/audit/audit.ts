import { randomUUIDv7 } from 'node:crypto'
import type { Db } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import type { AuditEvent, TalliedEvent } from './events.ts'
import { insertion } from './queries.ts'

/** Writes one event. Inside the transaction of the change it speaks of, so that neither exists without the other. */
export async function record(db: Db, operation: Operation, event: AuditEvent): Promise<void> {
  await recording(operation, event).execute(db)
}

/** The same as a part of another statement (`WITH recorded AS (…)`), where a round trip more would cost too much. */
export function recording(operation: Operation, event: AuditEvent) {
  return insertion({ id: randomUUIDv7(), ...rowOf(operation, event) })
}

/** Writes an event with the statement that it is put into. */
export type Recording = ReturnType<typeof recording>

/** An event as its row has it, but for the id. */
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
