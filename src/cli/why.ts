import type { EndCause, ReuseReason } from '../audit/events.ts'
import { endsIfUnused } from '../sessions/rotation.ts'
import type { AuditRow, FamilyRecord } from './queries.ts'
import { printable } from './terminal.ts'
import { duration, iso, when } from './times.ts'

/** Everything that is known of one session. */
export interface Evidence {
  id: string
  /** Missing once it was pruned. */
  family: FamilyRecord | undefined
  /** Missing where the user is gone. */
  email: string | undefined
  /** Oldest first. */
  history: readonly AuditRow[]
}

export interface Explanation {
  state: 'live' | 'ended' | 'expired' | 'unknown'
  /** An EndCause, `idle`, `absolute` or `age`; null for a session that is live or unknown. */
  cause: string | null
  at: Date | null
  /** One, in plain English. */
  sentence: string
}

/** Why a session is over, or that it is not. Pure: the words for every cause are here. */
export function explain({ id, family, email, history }: Evidence, now: Date): Explanation {
  const subject = `Session ${id}${email ? ` of ${email}` : ''}`
  const end = history.findLast((event) => event.type === 'session.ended')
  const at = family?.endedAt ?? end?.at
  if (at) {
    const cause = family?.endCause ?? end?.reason ?? 'unknown'
    const sentence = `${subject} ended at ${when(at, now)} because ${because(cause as EndCause, end, history)}.`
    return { state: 'ended', cause, at, sentence }
  }
  if (family) return explainAge(subject, family, now)

  const start = history.find((event) => event.type === 'login' && event.outcome === 'success')
  if (start) {
    const sentence = `${subject} started at ${when(start.at, now)}${from(start)} and nobody ended it: it expired by its age, and its record has been pruned since.`
    return { state: 'expired', cause: 'age', at: null, sentence }
  }
  const sentence = `Session ${id} is not known: there is no record of it and the audit trail does not mention it, so it never existed, or is older than the trail.`
  return { state: 'unknown', cause: null, at: null, sentence }
}

function explainAge(subject: string, family: FamilyRecord, now: Date): Explanation {
  const { rotatedAt, expiresAt, idleSeconds, createdAt } = family
  const end = endsIfUnused(family)
  if (now < end) {
    const last = end < expiresAt ? 'if unused' : 'in any case'
    const sentence = `${subject} is live: last used ${when(rotatedAt, now)}, ends ${when(end, now)} ${last}.`
    return { state: 'live', cause: null, at: null, sentence }
  }
  const idle = end < expiresAt
  const reason = idle
    ? `nobody used it for ${duration(idleSeconds)}: it was last used at ${iso(rotatedAt)}`
    : `it had reached its longest lifetime of ${duration((expiresAt.getTime() - createdAt.getTime()) / 1000)}`
  return {
    state: 'expired',
    cause: idle ? 'idle' : 'absolute',
    at: end,
    sentence: `${subject} expired at ${when(end, now)} because ${reason}.`,
  }
}

function because(cause: EndCause, end: AuditRow | undefined, history: readonly AuditRow[]): string {
  switch (cause) {
    case 'logout':
      return `its user signed out${from(end)}`
    case 'session_ended_by_user':
      return `its user ended it in the list of sessions${from(end)}`
    case 'reuse_detected':
      return becauseReuse(history.findLast((event) => event.type === 'refresh.reuse_detected'))
    case 'password_changed':
      return `the password of the account was changed${from(end)}`
    case 'user_disabled':
      return 'an operator disabled the account'
    case 'user_deleted':
      return 'an operator deleted the account'
    case 'replaced_by_login':
      return `somebody signed in again in the same browser${from(end)}, which replaced the cookie of this session`
    case 'too_many_sessions':
      return `a sign-in${from(end)} was one more than an account may have sessions, and this one had gone unused the longest`
    case 'operator':
      return 'an operator ended it'
    default:
      // Written by a version of the server that knows more causes.
      return `of this cause: ${printable(String(cause satisfies never))}`
  }
}

function becauseReuse(event: AuditRow | undefined): string {
  if (!event) return 'a refresh token that had been replaced was presented again: somebody has a copy of it'
  const { presented, current } = event.details
  const which = `${from(event)} (generation ${Number(presented)} when ${Number(current)} was current)`
  const again = `a refresh token that had been replaced was presented again${which}`
  const reason = event.reason as ReuseReason
  switch (reason) {
    case 'late_retry':
      return `a refresh token was presented again${which} after the time allowed for a retry: either somebody has a copy of it, or its client missed the reply and came back too late`
    case 'other_idempotency_key':
      return `${again} by a request other than the one that replaced it: two parties hold the same token`
    case 'older_generation':
      return `${again}: somebody has a copy of it`
    default:
      // Written by a version of the server that knows more reasons.
      reason satisfies never
      return `${again}: somebody has a copy of it`
  }
}

function from(event: Pick<AuditRow, 'address'> | undefined): string {
  return event?.address ? ` from ${event.address}` : ''
}
