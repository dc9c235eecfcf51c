/** Now, by the database's clock. Passed in wherever a rule needs the time, so that rules are pure and tests can travel. */
export type Clock = () => Date

/** The clock that a running server uses, with the means to keep it true. */
export interface DatabaseClock {
  now: Clock
  /**
   * Asks the database for the time and adopts the answer if it says more than what is known already.
   * @param options.afresh what is known counts for nothing: this host's own timer cannot be relied on since.
   * @returns whether the answer was good: after a slow one, ask again soon.
   * @throws the database's error; nothing is changed then.
   */
  synchronise(options?: { afresh: boolean }): Promise<boolean>
  /** Host clock minus database clock at the last synchronisation, in milliseconds. */
  hostOffset(): number
}

/** An answer of the database. All but `database` are readings of this process's monotonic timer, in milliseconds. */
export interface Sample {
  asked: number
  heard: number
  database: number
}

/** What a sample says: the database's clock is ahead of the timer by `ahead`, give or take `error`, at the moment `at`. */
export interface Estimate {
  ahead: number
  error: number
  at: number
}

/** Of a timer against the database's clock, per millisecond. Ordinary crystals keep within a fifth of it. */
const DRIFT = 1e-4
/** The time comes in whole milliseconds. */
const RESOLUTION_MS = 1
/** An error that needs no better sample. */
const GOOD_MS = 50
const SAMPLES = 3
const SAMPLING_MS = 2000

/** The answer was true somewhere between asking and hearing: the middle halves the error. */
export function estimate({ asked, heard, database }: Sample): Estimate {
  return { ahead: database - (asked + heard) / 2, error: (heard - asked) / 2 + RESOLUTION_MS, at: heard }
}

/**
 * Whether what was found says more than what is held. A slow answer says little, because nobody knows on which half of its
 * way the time was lost: adopted, 3.5 s in one direction would put a replica 1.75 s wrong. But where both cannot be true,
 * what was held is over: the database's clock was set, or another database answers.
 */
export function saysMore(found: Estimate, held: Estimate | undefined): boolean {
  if (!held) return true
  const known = held.error + DRIFT * (found.at - held.at)
  return found.error <= known || Math.abs(found.ahead - held.ahead) > found.error + known
}

/**
 * PostgreSQL's time, carried forward between synchronisations by the monotonic timer. Replicas therefore agree with each
 * other, and a jump of a host's wall clock changes nothing: neither an expiry nor a grace period moves.
 */
export function createDatabaseClock(askDatabase: () => Promise<Date>): DatabaseClock {
  let held: Estimate | undefined
  let hostOffset = 0

  const sample = async (): Promise<Estimate> => {
    const asked = performance.now()
    const database = (await askDatabase()).getTime()
    return estimate({ asked, heard: performance.now(), database })
  }
  return {
    now: () => {
      if (!held) throw new Error('the clock was read before it was synchronised')
      return new Date(performance.now() + held.ahead)
    },
    synchronise: async ({ afresh } = { afresh: false }) => {
      const begun = performance.now()
      let best = await sample()
      for (let taken = 1; taken < SAMPLES; taken++) {
        if (best.error <= GOOD_MS || performance.now() - begun > SAMPLING_MS) break
        const next = await sample()
        if (next.error < best.error) best = next
      }
      if (afresh || saysMore(best, held)) {
        held = best
        hostOffset = Math.round(Date.now() - performance.now() - best.ahead)
      }
      return best.error <= GOOD_MS
    },
    hostOffset: () => hostOffset,
  }
}
