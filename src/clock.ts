/** Now, by the database's clock. Passed in wherever a rule needs the time, so that rules are pure and tests can travel. */
export type Clock = () => Date

/** The clock that a running server uses, with the means to keep it true. */
export interface DatabaseClock {
  now: Clock
  /** Asks the database for the time and adopts it. Rejects, and changes nothing, if the database does not answer. */
  synchronise(): Promise<void>
  /** Host clock minus database clock at the last synchronisation, in milliseconds. */
  hostOffset(): number
}

/**
 * PostgreSQL's time, carried forward between synchronisations by the monotonic timer. Replicas therefore agree with each
 * other, and a jump of a host's wall clock changes nothing: neither an expiry nor a grace period moves.
 */
export function createDatabaseClock(askDatabase: () => Promise<Date>): DatabaseClock {
  let base: { database: number; monotonic: number; host: number } | undefined
  return {
    now: () => {
      if (!base) throw new Error('the clock was read before it was synchronised')
      return new Date(base.database + (performance.now() - base.monotonic))
    },
    synchronise: async () => {
      const before = performance.now()
      const database = (await askDatabase()).getTime()
      const after = performance.now()
      // The answer was true somewhere between asking and hearing; the middle halves the error.
      base = { database, monotonic: (before + after) / 2, host: Date.now() - (after - before) / 2 }
    },
    hostOffset: () => (base ? Math.round(base.host - base.database) : 0),
  }
}
