import type { Fate, Reuse } from '../sessions/why.ts'
import { printable } from './terminal.ts'
import { duration, iso, when } from './times.ts'

export interface Named {
  id: string
  /** Missing if the user was deleted. */
  email: string | undefined
  /** Whether its tokens are bound to a key. */
  bound: boolean
}

/** One sentence that tells whether and why a session is over. */
export function explain({ id, email, bound }: Named, fate: Fate, now: Date): string {
  const subject = `Session ${id}${email ? ` of ${email}` : ''}${bound ? ', bound to a key,' : ''}`
  switch (fate.state) {
    case 'live': {
      const last = fate.endsBy === 'idle' ? 'if unused' : 'in any case'
      return `${subject} is live: last used ${when(fate.lastUsedAt, now)}, ends ${when(fate.endsAt, now)} ${last}.`
    }
    case 'ended':
      return `${subject} ended at ${when(fate.at, now)} because ${because(fate)}.`
    case 'expired': {
      if (fate.cause === 'age') {
        return `${subject} started at ${when(fate.startedAt, now)}${from(fate.startedFrom)} and nobody ended it: it expired by its age, and its record has been pruned since.`
      }
      const reason =
        fate.cause === 'idle'
          ? `nobody used it for ${duration(fate.idleSeconds)}: it was last used at ${iso(fate.lastUsedAt)}`
          : `it had reached its longest lifetime of ${duration(fate.lifetimeSeconds)}`
      return `${subject} expired at ${when(fate.at, now)} because ${reason}.`
    }
    case 'unknown':
      return `Session ${id} is not known: there is no record of it and the audit trail does not mention it, so it never existed, or is older than the trail.`
    default:
      return fate satisfies never
  }
}

function because({ cause, from: address, reuse }: Fate & { state: 'ended' }): string {
  switch (cause) {
    case 'logout':
      return `its user signed out${from(address)}`
    case 'session_ended_by_user':
      return `its user ended it in the list of sessions${from(address)}`
    case 'revoked_by_client':
      return `its client revoked a token of it${from(address)}`
    case 'reuse_detected':
      return becauseReuse(reuse)
    case 'password_changed':
      return `the password of the account was changed${from(address)}`
    case 'password_reset':
      return `the password of the account was reset${from(address)} with what was mailed to its address`
    case 'user_disabled':
      return 'an operator disabled the account'
    case 'user_deleted':
      return 'an operator deleted the account'
    case 'email_change_undone':
      return `the account was taken back from the mailbox of its former address${from(address)}`
    case 'replaced_by_login':
      return `somebody signed in again in the same browser${from(address)}, which replaced the cookie of this session`
    case 'too_many_sessions':
      return `a sign-in${from(address)} was one more than an account may have sessions, and this one had gone unused the longest`
    case 'client_disabled':
      return 'an operator disabled its client, or removed it'
    case 'operator':
      return 'an operator ended it'
    default:
      // A later version of the server wrote a cause that this one does not know.
      return `of this cause: ${printable(String(cause satisfies never))}`
  }
}

function becauseReuse(reuse: Reuse | undefined): string {
  if (!reuse) return 'a refresh token that had been replaced was presented again: somebody has a copy of it'
  const which = `${from(reuse.from)} (generation ${reuse.presented} when ${reuse.current} was current)`
  const again = `a refresh token that had been replaced was presented again${which}`
  switch (reuse.reason) {
    case 'late_retry':
      return `a refresh token was presented again${which} after the time allowed for a retry: either somebody has a copy of it, or its client missed the reply and came back too late`
    case 'other_idempotency_key':
      return `${again} by a request other than the one that replaced it: two parties hold the same token`
    case 'older_generation':
      return `${again}: somebody has a copy of it`
    default:
      // A later version of the server wrote a reason that this one does not know.
      reuse.reason satisfies never
      return `${again}: somebody has a copy of it`
  }
}

function from(address: string | null): string {
  return address ? ` from ${address}` : ''
}
