import { Problem, type Reason } from './errors.ts'

interface Bounds {
  /** Pieces of work that run at a time. */
  permits: number
  /** Pieces of work that may wait for a permit. */
  queue: number
  /** In milliseconds. Work that has waited longer is refused when its turn comes, so that the queue behind it moves on. */
  patienceMs?: number
  /** The error for work that is refused; by default `unavailable`, to be retried after a second. */
  refusal?: (reason: Reason) => Problem
}

export interface Semaphore {
  /**
   * Does the work when a permit is free.
   * @param who has a line of their own to wait in; whoever is not named shares one.
   * @throws the refusal, at once if the queue is full.
   */
  run<T>(work: () => Promise<T>, who?: string): Promise<T>
  /** Whether work that came now would be refused. */
  isFull(who?: string): boolean
  /** Pieces of work that run or wait. */
  pending(): number
}

/**
 * Runs so many at a time, queues so many more, and refuses the rest at once: an unbounded queue answers everybody too
 * late, a bounded one answers some in time and tells the others to come back.
 *
 * Lines take turns, and each is served in order of arrival (fair queueing, RFC 970). So however much one of them sends,
 * the others wait for one piece of its work at a time. Where the queue is full, the longest line gives up its last place
 * to a shorter one.
 */
export function createSemaphore(
  { permits, queue, patienceMs = Number.POSITIVE_INFINITY, refusal = tooBusy }: Bounds,
  now: () => number = () => performance.now(),
): Semaphore {
  const lines = createLines()
  let running = 0

  const isFull = (who = '') => running >= permits && lines.length() >= queue && !lines.isAnyLonger(who)
  const enter = async (who: string): Promise<void> => {
    if (running < permits) {
      running++
      return
    }
    if (isFull(who)) throw refusal('too many wait')
    if (lines.length() >= queue) lines.dropLast()?.refuse(refusal('too many wait'))
    await new Promise<void>((start, refuse) => lines.join(who, { start, refuse }))
  }
  /** A permit is handed on: given back, whoever comes in that moment would have it before those who wait. */
  const leave = (): void => {
    const next = lines.next()
    if (next) next.start()
    else running--
  }

  return {
    run: async (work, who = '') => {
      const since = now()
      await enter(who)
      try {
        if (now() - since > patienceMs) throw refusal('waited too long')
        return await work()
      } finally {
        leave()
      }
    },
    isFull,
    pending: () => running + lines.length(),
  }
}

interface Waiting {
  start(): void
  refuse(problem: Problem): void
}

function createLines() {
  /** In the order of their turns. None is empty. */
  const lines = new Map<string, Waiting[]>()
  let length = 0
  const longest = (): Waiting[] =>
    [...lines.values()].reduce((found, line) => (line.length > found.length ? line : found), [])
  return {
    length: () => length,
    join: (who: string, waiting: Waiting): void => {
      const line = lines.get(who)
      if (line) line.push(waiting)
      else lines.set(who, [waiting])
      length++
    },
    /** Takes the first of the line whose turn it is. */
    next: (): Waiting | undefined => {
      const [turn] = lines
      if (!turn) return undefined
      const [who, line] = turn
      lines.delete(who)
      const first = line.shift()
      if (line.length > 0) lines.set(who, line)
      length--
      return first
    },
    /** Whether another line is longer than this one would be with one more. */
    isAnyLonger: (who: string): boolean => longest().length > (lines.get(who)?.length ?? 0) + 1,
    /** Takes the last of the longest line, which stays: it is longer than one. */
    dropLast: (): Waiting | undefined => {
      const dropped = longest().pop()
      if (dropped) length--
      return dropped
    },
  }
}

/** Runs the work of each key one at a time, in order of arrival. @throws Problem `unavailable` if too many wait. */
export type KeyedMutex = <T>(key: string, work: () => Promise<T>) => Promise<T>

/** @param most pieces of work that may run or wait, for all keys together. */
export function createKeyedMutex(most: number): KeyedMutex {
  /** The last in line, by key. */
  const last = new Map<string, Promise<unknown>>()
  let inLine = 0

  return async (key, work) => {
    if (inLine >= most) throw tooBusy('too many wait for their turn')
    inLine++
    const before = last.get(key)
    const mine = before ? before.then(work, work) : work()
    last.set(key, mine)
    try {
      return await mine
    } finally {
      inLine--
      if (last.get(key) === mine) last.delete(key)
    }
  }
}

function tooBusy(reason: Reason): Problem {
  return new Problem('unavailable', { reason, retryAfter: 1 })
}
