import { randomBytes } from 'node:crypto'
import type { Bell } from '../bell.ts'
import { MINUTE, SECOND } from '../durations.ts'
import type { Log } from '../log.ts'
import { repeat, type Schedule } from '../schedule.ts'
import type { Entry, Position } from './entry.ts'
import { createHeld, type Held } from './held.ts'
import { type NumberingDeps, numberBatch } from './numbering.ts'
import { beginEpoch, type Page, readPage, stateLongest } from './queries.ts'

export interface Feed {
  /** What is held in memory. Its epoch is empty until the first reading has succeeded. */
  held: Held
  /** Brings it up to date; whoever asks meanwhile has the same answer. Rejects if the database cannot be read. */
  look(): Promise<void>
  /** The same, for callers who would rather have what is held than wait for long, or fail. */
  renew(): Promise<void>
  /** Somebody reads or listens: from now on, it is kept up to date closely for a while. */
  use(): void
  /** @param act is called after each look that has succeeded. */
  onLook(act: () => void): void
  /** Looks by itself from now on. */
  start(): void
  stop(): Promise<void>
}

export type FeedDeps = NumberingDeps & {
  log: Log
  revocationBell: Bell
  /** Adopts the signing keys of the database. */
  reloadKeys: () => Promise<void>
}

/** What other servers have revoked is heard of within this time while somebody uses the feed, and otherwise within a second. */
const CLOSELY_MS = 50
const SELDOM_MS = SECOND
/** How long a use lasts. */
const USED_FOR_MS = 10 * SECOND
const AT_ONCE_MS = 5
/** What is revoked so soon after a look is numbered together: where many sign out, a look for each would cost as much as they do. */
const TOGETHER_MS = 10
/** After a failure. */
const AGAIN_MS = 250
const LONGEST_WAIT_MS = SECOND
const PAGE = 5000
const STATE_EVERY_MS = MINUTE

/**
 * What was revoked, in memory, and the moment up to which that is everything. Reads over the connections of refreshes: otherwise a
 * flood of other requests would make every verifier's view of the feed grow stale.
 */
export function createFeed(deps: FeedDeps): Feed {
  const { refreshDb, clock } = deps
  const held = createHeld()
  const acts: (() => void)[] = []
  let schedule: Schedule | undefined
  let looking: Promise<void> | undefined
  let lookedAt = Number.NEGATIVE_INFINITY
  let usedUntil = Number.NEGATIVE_INFINITY
  let statedAt = Number.NEGATIVE_INFINITY
  let rung = false

  const isUsed = () => performance.now() < usedUntil

  /**
   * @param numbered the moment up to which everything has a number, if that is known. Where many are revoked, there is always
   * something that has none yet, and the view would never be whole.
   * @returns whether it is known of a moment that everything that was committed before it has been read.
   */
  const read = async (numbered?: Date): Promise<boolean> => {
    for (;;) {
      // Before the statement: what is committed later may be missing in its answer.
      const asked = clock()
      const known = held.position()
      const found = await readOn(known, asked)
      if (!found) continue
      const { epoch, lastSeq, unnumbered, entries } = found
      // Before anything is published: the list must not be signed by a key that it withdraws.
      if (entries.some(({ kind }) => kind === 'key')) await deps.reloadKeys()
      if (epoch === known.epoch) held.add(entries, lastSeq)
      else held.begin(epoch, entries, lastSeq)
      held.expire(asked)
      const whole = unnumbered ? numbered : asked
      if (whole) held.reach(whole)
      return whole !== undefined
    }
  }

  /** What is not held yet, or everything, if that is of another epoch. @returns undefined if an epoch has begun meanwhile. */
  const readOn = async (known: Position, now: Date): Promise<Page | undefined> => {
    let { seq: after } = known
    let { epoch } = known
    const entries: Entry[] = []
    for (;;) {
      const page = await readPage(refreshDb, now, { after, limit: PAGE })
      const isBehind = page.epoch === known.epoch && page.lastSeq < known.seq
      if (!page.isSame || isBehind) {
        const seen = isBehind ? known.seq : 0
        await beginEpoch(refreshDb, { from: page.epoch, seen, epoch: randomBytes(16).toString('base64url') })
        return undefined
      }
      if (page.epoch !== epoch && after > 0) {
        if (entries.length > 0) return undefined
        after = 0
        epoch = page.epoch
        continue
      }
      epoch = page.epoch
      entries.push(...page.entries)
      if (page.entries.length < PAGE) return { ...page, entries }
      after = page.entries.at(-1)?.seq ?? after
    }
  }

  const lookOnce = async (): Promise<void> => {
    if (performance.now() - statedAt > STATE_EVERY_MS) {
      // Twice as long as until it is stated again.
      await stateLongest(refreshDb, clock(), deps.config.ACCESS_TOKEN_SECONDS, 2 * STATE_EVERY_MS)
      statedAt = performance.now()
    }
    const wasRung = rung
    rung = false
    if (!(await read(wasRung ? await numberBatch(deps) : undefined))) {
      // Another server is numbering, or there are more than fit into a transaction.
      if (!(await read(await numberBatch(deps)))) schedule?.hasten(AT_ONCE_MS)
    }
    for (const act of acts) act()
  }

  const look = (): Promise<void> =>
    (looking ??= lookOnce().finally(() => {
      // Also if it failed: a database that is away must not be asked at each request of a stranger.
      lookedAt = performance.now()
      looking = undefined
    }))

  const use = () => {
    const wasUsed = isUsed()
    usedUntil = performance.now() + USED_FOR_MS
    if (!wasUsed) schedule?.hasten(0)
  }

  return {
    held,
    look,
    use,
    renew: async () => {
      use()
      if (performance.now() - lookedAt < CLOSELY_MS) return
      const late = Promise.withResolvers<void>()
      const timer = setTimeout(late.resolve, LONGEST_WAIT_MS)
      await Promise.race([look().catch(() => {}), late.promise])
      clearTimeout(timer)
    },
    onLook: (act) => void acts.push(act),
    start: () => {
      const work = async () => {
        try {
          await look()
          if (isUsed()) schedule?.hasten(CLOSELY_MS)
        } catch (error) {
          if (isUsed()) schedule?.hasten(AGAIN_MS)
          throw error
        }
      }
      schedule = repeat(deps.log, {
        name: 'revocations',
        everyMs: SELDOM_MS,
        work,
        outage: {
          begins: 'the feed of revocations cannot be read; verifiers find it stale until it can',
          ends: 'the feed of revocations can be read again',
        },
      })
      schedule.hasten(0)
      deps.revocationBell.answer(() => {
        rung = true
        // Where nobody reads, nobody waits for it.
        if (!isUsed()) return
        const since = looking ? 0 : performance.now() - lookedAt
        schedule?.hasten(Math.max(0, TOGETHER_MS - since))
      })
    },
    stop: async () => {
      await schedule?.stop()
      await looking?.catch(() => {})
    },
  }
}
