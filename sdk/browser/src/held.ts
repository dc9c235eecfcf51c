import { elapsed } from './platform.ts'

/** An access token in this tab's memory. */
export interface Held {
  token: string
  /** Milliseconds from issue to expiry. */
  life: number
  /** Expiry by the wall clock, which counts the time that the device sleeps. */
  until: number
  /** Expiry by `elapsed`, which cannot be set back. */
  end: number
}

/** An access token that has just arrived. */
export interface Arrival extends Omit<Held, 'end'> {
  /**
   * Milliseconds that it had left when another tab passed it on. `until` alone would be too late after the clock was set
   * back; this alone would be, if the message waited for a frozen tab.
   */
  left?: number
}

export function hold({ token, life, until, left = life }: Arrival): Held {
  return { token, life, until, end: elapsed() + Math.min(left, until - Date.now()) }
}

/**
 * The claims of a token, unverified. `-` and `_` are decoded alike, since `atob` knows neither: origins and ids contain
 * no character that is encoded with them, and other claims do not matter here.
 */
export const claimsOf = (token: string): { iss: string; sid: string } =>
  JSON.parse(atob((token.split('.')[1] as string).replace(/[-_]/g, '+')))

/** Milliseconds until it expires, by the clock that says less. */
export const leftOf = ({ until, end }: Held): number => Math.min(until - Date.now(), end - elapsed())

/** Whether it is good for a request that starts now, which takes a while to arrive; and clocks differ a little. */
export const isUsable = (held: Held): boolean => leftOf(held) > Math.min(10_000, held.life / 10)

/** Refresh at 75 to 85 % of the lifetime, in each tab at another moment: the first tab spares the others their refresh. */
const SHARE = 0.15 + Math.random() / 10

/**
 * Milliseconds until it should be replaced, at least a second after it arrived, so that a nonsensical lifetime does not
 * cause a storm of refreshes.
 */
export const dueIn = (held: Held): number =>
  Math.max(leftOf(held) - held.life * SHARE, held.end - held.life + 1000 - elapsed())
