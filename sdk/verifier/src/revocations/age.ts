/** One moment by both clocks, in milliseconds. */
export interface Moment {
  monotonic: number
  wall: number
}

/** By how much the wall clock may get ahead of the monotonic one while a message is waited for, in milliseconds. */
const JUMP = 2000

/**
 * Whether the machine may have slept in between: the monotonic clock stands still then, and what came meanwhile and lay
 * in a buffer would look as if it had just been signed. It is not to be used: what is asked for anew is new. If it was
 * only the wall clock that was set, no more is lost by that than a connection.
 */
export function mayHaveSlept(from: Moment, to: Moment): boolean {
  return to.wall - from.wall - (to.monotonic - from.monotonic) > JUMP
}

/**
 * For how long it is remembered how quick messages are, in milliseconds. Whoever holds messages back is noticed for as
 * long. So long do messages look late, too, once this reader has moved from a replica whose clock is ahead to another.
 */
const MEMORY = 120_000

export interface Age {
  /**
   * Everything that was revoked by `iat` is known.
   * @param iat seconds, by the issuer's clock. One that is not later than the last is no news: it may be a replay.
   * @param at when the message came.
   */
  heard(iat: number, at: Moment): void
  /** The issuer may have another clock from here on. */
  begin(): void
  /** How old what is known is by now, in milliseconds. Infinity: nothing is known, or clocks differ too much to tell. */
  at(now: Moment): number
}

/**
 * How old the view is. Time that has passed since the message came is not enough: whoever holds all messages back for a
 * minute would make a view of a minute ago look fresh.
 * @param clockTolerance by how much clocks may differ, in seconds.
 */
export function createAge(clockTolerance: number): Age {
  const tolerance = clockTolerance * 1000
  let newest: { iat: number; at: Moment; delay: number } | undefined
  let recent: { came: number; difference: number }[] = []

  /**
   * How much longer than the second quickest message of the last minutes this one took: the quickest may have been signed
   * by a clock that was ahead for a moment. The clocks of the two machines stand differently, so one message alone says
   * nothing, and neither does what our own clock says of it: whether a replica was ahead or our clock is behind cannot be
   * told. It is measured with the monotonic clock, as setting the other one delays no message.
   */
  const delayOf = (iat: number, came: number): number => {
    const difference = came - iat
    recent = [...recent.filter((each) => each.came > came - MEMORY), { came, difference }]
    const quickest = recent.map((each) => each.difference).toSorted((a, b) => a - b)
    return Math.max(0, difference - (quickest[1] ?? difference))
  }

  return {
    heard: (seconds, at) => {
      const iat = seconds * 1000
      if (newest && iat <= newest.iat) return
      newest = { iat, at, delay: delayOf(iat, at.monotonic) }
    },
    begin: () => {
      recent = []
    },
    at: ({ monotonic, wall }) => {
      if (!newest) return Number.POSITIVE_INFINITY
      const { iat, at, delay } = newest
      // From the future, or a clock that says NaN: nothing can be told by it.
      if (!(iat <= wall + tolerance)) return Number.POSITIVE_INFINITY
      // The wall clock may be set back, and the monotonic one stands still while the machine sleeps.
      const since = Math.max(monotonic - at.monotonic, wall - at.wall)
      // Where every message has been held back from the first one on, only the clocks tell.
      return Math.max(since + delay, wall - iat - tolerance)
    },
  }
}
