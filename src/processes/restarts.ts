import { SECOND } from '../durations.ts'

/** A process that has served for so long has settled: what ends it later has nothing to do with its start. */
export const SETTLED_MS = 10 * SECOND
/** So many ends in a row without one that settles are a crash loop, once nobody serves. */
const CRASH_LOOP = 5
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 30 * SECOND
/** EX_CONFIG of sysexits.h: restarting with the same settings is of no use. */
export const EXIT_CONFIG = 78

export interface End {
  /** Null if a signal has ended it. */
  code: number | null
  hadSettled: boolean
}

/** Of the others, at that moment. */
export interface Others {
  /** Whether any process has been ready since the start of the server. */
  haveBeenReady: boolean
  serving: number
  /** Ends without one that settles in between, this one included. */
  earlyEnds: number
}

export type Consequence = { kind: 'replace'; inMs: number } | { kind: 'give up'; code: number }

/**
 * What follows when a process ends that was not told to. What stops the very first one stops the server, as it would stop one
 * that has no others. Later, those that serve go on serving while others fail to start, however often: an end of the server
 * would make an outage of it.
 */
export function consequenceOf({ code, hadSettled }: End, others: Others): Consequence {
  const giveUp: Consequence = { kind: 'give up', code: code || 1 }
  if (!others.haveBeenReady) return giveUp
  if (hadSettled) return { kind: 'replace', inMs: 0 }
  if (code === EXIT_CONFIG && others.serving === 0) return giveUp
  if (others.earlyEnds >= CRASH_LOOP && others.serving === 0) return giveUp
  return { kind: 'replace', inMs: Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (others.earlyEnds - 1)) }
}
