import { HOUR, SECOND } from '../durations.ts'

/** With the pauses below, some three and a half days. RFC 5321 §4.5.4.1 has four to five, for mails that keep longer than ours. */
const MOST_ATTEMPTS = 25
const FIRST_PAUSE_MS = 10 * SECOND
const LONGEST_PAUSE_MS = 6 * HOUR
/**
 * While CLAVIGER_SECRET is changed on one replica after the other, some have an entry that others have yet to learn. A
 * delivery that is still unreadable then was sealed under an entry that nobody has.
 */
const PATIENCE_MS = HOUR

/** How an attempt ended. */
export type Ending =
  | 'delivered'
  /** The handler threw, or took too long. */
  | 'failed'
  /** The handler threw Undeliverable. */
  | 'refused'
  /** No entry of CLAVIGER_SECRET opens the payload. */
  | 'unreadable'
  /** The server stops and waits no longer. */
  | 'interrupted'

export type Verdict =
  | { next: 'delete' }
  | { next: 'retry'; inMs: number }
  | { next: 'bury'; reason: 'undeliverable' | 'unreadable' | 'attempts_used_up' }

/**
 * What becomes of a delivery after an attempt.
 * @param attempts those begun so far, this one included: one that died with its server counts too, because it may be the
 * delivery that kills.
 * @param random from 0 to 1. It spreads what failed together.
 */
export function decide(
  { ending, attempts, ageMs }: { ending: Ending; attempts: number; ageMs: number },
  random = Math.random(),
): Verdict {
  if (ending === 'delivered') return { next: 'delete' }
  if (ending === 'interrupted') return { next: 'retry', inMs: 0 }
  if (ending === 'refused') return { next: 'bury', reason: 'undeliverable' }
  if (ending === 'unreadable' && ageMs > PATIENCE_MS) return { next: 'bury', reason: 'unreadable' }
  if (attempts >= MOST_ATTEMPTS) return { next: 'bury', reason: 'attempts_used_up' }
  const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempts - 1))
  return { next: 'retry', inMs: Math.round(pause * (0.8 + 0.4 * random)) }
}

/** Whether a delivery has been begun too often to begin again: its attempts took their servers along. */
export function isUsedUp(attempts: number): boolean {
  return attempts > MOST_ATTEMPTS
}
