/** Now, by the database's clock. Passed in wherever a rule needs the time, so that rules are pure and tests can travel. */
export type Clock = () => Date

/** The clock that a running server uses, with the means to keep it true. */
export interface DatabaseClock {
  now: Clock
  /**
   * Asks the database for the time and adopts the answer if it is more precise than the estimate that is held.
   * @param options.afresh discard the estimate that is held, because this host's timer may have stood still since.
   * @returns whether the answer was precise. After an imprecise one, ask again soon.
   * @throws the database's error; nothing is changed then.
   */
  synchronise(options?: { afresh: boolean }): Promise<boolean>
  /** Host clock minus database clock at the last synchronisation, in milliseconds. */
  hostOffset(): number
}

/** An answer of the database, in milliseconds. `asked` and `heard` are readings of this process's monotonic timer. */
export interface Sample {
  asked: number
  heard: number
  database: number
}

/** What follows from a sample: at `at`, the database's clock was ahead of the timer by `ahead`, give or take `error`. */
export interface Estimate {
  ahead: number
  error: number
  at: number
}

/** How far a timer may drift from the database's clock, per millisecond. Ordinary crystals keep within a fifth of it. */
const DRIFT = 1e-4
/** The database's answer arrives in whole milliseconds. */
const RESOLUTION_MS = 1
/** With this error or less, no further sample is needed. */
const GOOD_MS = 50
const SAMPLES = 3
const SAMPLING_MS = 2000

/** The answer was true at some moment between asking and hearing. Assuming the middle halves the error. */
export function estimate({ asked, heard, database }: Sample): Estimate {
  return { ahead: database - (asked + heard) / 2, error: (heard - asked) / 2 + RESOLUTION_MS, at: heard }
}

/**
 * Whether a new estimate replaces the one that is held. A slow answer says little, because the time may have been lost
 * before or after the database read its clock: adopting one that took 3.5 s could put a replica wrong by 1.75 s. But if
 * the two contradict each other, the old one is obsolete: the database's clock was set, or another database answers.
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
