import { randomUUIDv7 } from 'node:crypto'
import type { Parameter } from '../db/built-once.ts'
import type { Db } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import type { AuditEvent, TalliedEvent } from './events.ts'
import { insertEvent, insertion } from './queries.ts'

/** Records an event, in the transaction of the change that it describes, so that neither exists without the other. */
export async function record(db: Db, operation: Operation, event: AuditEvent): Promise<void> {
  await insertEvent(db, recording(operation, event))
}

/** What another statement records with what it does, to save a round trip: `recorded` is the SQL for it. */
export function recording(operation: Operation, event: AuditEvent) {
  return { id: randomUUIDv7(), ...rowOf(operation, event) }
}

export type Recording = ReturnType<typeof recording>

/** SQL that records an event as part of a statement that is built once. @param read finds it among the statement's values. */
export function recorded<Values>(parameter: Parameter<Values>, read: (values: Values) => Recording) {
  return insertion(parameter, read)
}

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
