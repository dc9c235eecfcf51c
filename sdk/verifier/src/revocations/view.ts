import { createAge, type Moment } from './age.ts'
import { createHeld, type Subject } from './held.ts'
import type { SecurityEvent, Statement } from './messages.ts'
import { createPosition, type Place } from './position.ts'

/**
 * What is known of the issuer's revocations, and how old that is. No I/O and no clock: verified messages go in, with the
 * moment at which they came.
 */
export interface View {
  connected(): void
  reset(): void
  /** @returns whether it is newer than all before, and so no replay. */
  heartbeat(statement: Statement, at: Moment): boolean
  /** @throws Error if it is of another epoch. */
  event(event: SecurityEvent): void
  page(page: Statement, since: Place | undefined, at: Moment): 'more' | 'done' | 'old'
  since(): Place | undefined
  isBehind(): boolean
  place(): Place | undefined
  revokes(token: Subject, kid: string): boolean
  isWithdrawn(kid: string): boolean
  /** In milliseconds; Infinity if nothing is known. */
  age(now: Moment): number
  size(): number
}

/** @param clockTolerance by how much clocks may differ, in seconds. */
export function createView(clockTolerance: number): View {
  const held = createHeld(clockTolerance)
  const position = createPosition()
  const age = createAge(clockTolerance)

  const noting = <T>(statement: Statement, at: Moment, take: () => T): T => {
    // It would make everything that follows look old, for as long as it is ahead.
    if (!(statement.iat <= at.wall / 1000 + clockTolerance)) throw new Error('iat is in the future')
    const before = position.epoch()
    const taken = take()
    if (position.epoch() !== before) age.begin()
    // An event alone does not make the view younger: another of the same second may still be on its way.
    if (position.isLevelWith(statement)) age.heard(statement.iat, at)
    return taken
  }

  return {
    connected: position.connected,
    reset: position.reset,
    heartbeat: (statement, at) => {
      const isNews = noting(statement, at, () => position.statement(statement))
      if (isNews) held.drop(statement.iat)
      return isNews
    },
    event: (event) => {
      position.event(event)
      if (event.entry) held.add(event.entry)
    },
    page: (page, since, at) =>
      noting(page, at, () => {
        const outcome = position.page(page, since)
        // Before the view counts as level with the page.
        if (outcome !== 'old') for (const entry of page.entries) held.add(entry)
        held.drop(page.iat)
        return outcome
      }),
    since: position.since,
    isBehind: position.isBehind,
    place: position.held,
    revokes: held.revokes,
    isWithdrawn: held.isWithdrawn,
    age: age.at,
    size: held.size,
  }
}
