import { randomUUIDv7 } from 'node:crypto'
import type { Db } from '../db/schema.ts'
import { insertion } from './queries.ts'

/** Where a request came from, as the audit trail and the session list keep it. */
export interface RequestFacts {
  requestId: string | null
  /** Client address after TRUSTED_PROXIES; null for the CLI. */
  address: string | null
  /** At most 256 characters. */
  userAgent: string | null
}

/** Facts of work that no request asked for: the CLI and the server's own schedule. */
export const NO_REQUEST: RequestFacts = { requestId: null, address: null, userAgent: null }

/** Why a family ended. The value is stored with the row and in the trail; `sessions why` puts it in words. */
export type EndCause =
  | 'logout'
  | 'session_ended_by_user'
  | 'reuse_detected'
  | 'password_changed'
  | 'user_disabled'
  | 'user_deleted'
  | 'replaced_by_login'
  | 'too_many_sessions'
  | 'operator'

/** Whom an event is about. */
interface About {
  userId?: string | null
  familyId?: string | null
  clientId?: string | null
}

/**
 * What changes a state. Successful refreshes are a log line and a counter instead: tables do not grow with refreshes.
 * What leaves everything as it was is a TalliedEvent.
 */
export type AuditEvent = About &
  (
    | { type: 'user.registered'; outcome: 'success' }
    | {
        type: 'user.created' | 'user.disabled' | 'user.enabled' | 'user.deleted' | 'user.email_changed'
        outcome: 'success'
      }
    | {
        type: 'user.roles_changed' | 'user.claims_changed'
        outcome: 'success'
        details: { before: string[]; after: string[] }
      }
    | { type: 'login'; outcome: 'success' }
    | {
        type: 'login.backoff_started' | 'login.password_disabled'
        outcome: 'success'
        details: { identifier: string; failures: number }
      }
    | { type: 'password.changed'; outcome: 'success' }
    | { type: 'session.ended'; outcome: 'success'; reason: EndCause; details?: { ended: number } }
    | {
        type: 'refresh.reuse_detected'
        outcome: 'failure'
        reason: ReuseReason
        details: { presented: number; current: number }
      }
    | { type: 'refresh.retries_in_a_row'; outcome: 'success'; details: { rotations: number } }
    | { type: 'refresh.recovered_late'; outcome: 'success'; details: { seconds_late: number } }
    | { type: 'refresh.rolled_forward'; outcome: 'success'; details: { presented: number; current: number } }
    | {
        type:
          | 'key.created'
          | 'key.imported'
          | 'key.activated'
          | 'key.retired'
          | 'key.removed'
          | 'key.compromised'
          | 'key.resealed'
        outcome: 'success'
        details: { kid: string }
      }
    | { type: 'server.started'; outcome: 'success'; details: { settings: Record<string, unknown> } }
  )

/** What anybody can bring about as often as they like, because it changes nothing; see createTally. */
export type TalliedEvent = About &
  (
    | { type: 'user.registered'; outcome: 'failure'; reason: 'email_taken'; details?: undefined }
    | {
        type: 'login'
        outcome: 'failure'
        reason: 'unknown_user' | 'wrong_password' | 'no_password' | 'user_disabled' | 'password_disabled' | 'backoff'
        /** HMAC of what was typed, hexadecimal: people type passwords into the e-mail field. */
        details: { identifier: string; failures?: number }
      }
    | { type: 'password.changed'; outcome: 'failure'; reason: 'wrong_password' | 'backoff'; details?: undefined }
    | { type: 'refresh.refused'; outcome: 'failure'; reason: RefreshRefusal; details?: undefined }
    /** The token of a rotation with an Idempotency-Key came again without that key: somebody else may hold it. */
    | {
        type: 'refresh.key_mismatch'
        outcome: 'success' | 'failure'
        reason: 'no_key' | 'other_key'
        details?: undefined
      }
  )

/** Why an authentic refresh token was refused without ending anything. */
export type RefreshRefusal = 'wrong_client' | 'wrong_delivery' | 'user_disabled' | 'ahead_of_database'

/** Which rule took a presented refresh token for a replay. */
export type ReuseReason = 'older_generation' | 'late_retry' | 'other_idempotency_key'

/** Who did it: the user, an operator at the CLI, a client that is not signed in, or the server by itself. */
export type Actor = 'user' | 'operator' | 'anonymous' | 'server'

/** Writes one event. Inside the transaction of the change it speaks of, so that neither exists without the other. */
export async function record(db: Db, now: Date, actor: Actor, event: AuditEvent, facts: RequestFacts): Promise<void> {
  await recording(now, actor, event, facts).execute(db)
}

/** The same as a part of another statement (`WITH recorded AS (…)`), where a round trip more would cost too much. */
export function recording(now: Date, actor: Actor, event: AuditEvent, facts: RequestFacts) {
  return insertion({ id: randomUUIDv7(), ...rowOf(now, actor, event, facts) })
}

/** Writes an event with the statement that it is put into. */
export type Recording = ReturnType<typeof recording>

/** An event as its row has it, but for the id. */
export function rowOf(now: Date, actor: Actor, event: AuditEvent | TalliedEvent, facts: RequestFacts) {
  const { type, outcome, userId = null, familyId = null, clientId = null } = event
  return {
    at: now,
    type,
    outcome,
    reason: 'reason' in event ? event.reason : null,
    actor,
    user_id: userId,
    family_id: familyId,
    client_id: clientId,
    request_id: facts.requestId,
    address: facts.address,
    user_agent: facts.userAgent,
    details: 'details' in event && event.details ? event.details : {},
  }
}
