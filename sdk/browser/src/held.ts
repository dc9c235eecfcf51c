import { elapsed } from './platform.ts'

/** An access token in this tab's memory. */
export interface Held {
  token: string
  /** Milliseconds from issue to expiry. */
  life: number
  /** Expiry by the wall clock, which sees the time that the device slept. */
  until: number
  /** Expiry by `elapsed`, which nobody can set back. */
  end: number
}

/** An access token that has just come. */
export interface Arrival extends Omit<Held, 'end'> {
  /**
   * Milliseconds it lived yet when another tab passed it on. `until` alone would say more once the clock has been set back;
   * this alone, where the message waited for a frozen tab.
   */
  left?: number
}

export function hold({ token, life, until, left = life }: Arrival): Held {
  return { token, life, until, end: elapsed() + Math.min(left, until - Date.now()) }
}

/**
 * What the token says, unverified. `-` and `_` are decoded alike, since `atob` knows neither: no origin and no id has a character
 * that is written with them, and other claims are of no interest here.
 */
export const claimsOf = (token: string): { iss: string; sid: string } =>
  JSON.parse(atob((token.split('.')[1] as string).replace(/[-_]/g, '+')))

/** Milliseconds it still lives, by the clock that says less. */
export const leftOf = ({ until, end }: Held): number => Math.min(until - Date.now(), end - elapsed())

/** Good for a request that starts now: it takes a while to arrive, and clocks differ a little. */
export const isUsable = (held: Held): boolean => leftOf(held) > Math.min(10_000, held.life / 10)

/** At 75 to 85 % of the lifetime, in each tab at another moment: the first one that is due spares the others theirs. */
const SHARE = 0.15 + Math.random() / 10

/**
 * Milliseconds until it should be replaced; never less than a second after it came, so that a lifetime which makes no sense
 * makes no storm.
 */
export const dueIn = (held: Held): number =>
  Math.max(leftOf(held) - held.life * SHARE, held.end - held.life + 1000 - elapsed())
