import { randomBytes, timingSafeEqual } from 'node:crypto'
import { Problem } from '../../errors.ts'
import { createSemaphore } from '../../semaphore.ts'
import { type ComputeTag, computeHere } from './argon2.ts'
import { formatPhc, type Phc, parseParameters, parsePhc } from './phc.ts'
import { normalisePassword } from './policy.ts'

export interface PasswordHasher {
  /**
   * PHC string of a new password with the current parameters and a fresh salt.
   * @throws Problem overloaded, when too many computations wait already.
   */
  hash(password: string): Promise<string>
  /**
   * Whether the password belongs to the hash. Null stands for an account without one (or for no account); a malformed hash is
   * the same.
   * @throws Problem overloaded, when too many computations wait already.
   */
  verify(hash: string | null, password: string, surroundings?: Surroundings): Promise<boolean>
  /** Whether the hash costs an attacker less than one made now. A stronger one is left as it is. */
  needsRehash(hash: string): boolean
  /** @throws Problem overloaded, if a computation asked for now would be turned away. */
  expectRoom(): void
  /** Computations that run or wait. */
  pending(): number
}

/** What a refusal must not be told by. */
export interface Surroundings {
  /** Parameters of all stored hashes, as PHC strings have them. */
  inUse: readonly string[]
  /** Whether the right password will be accepted. */
  welcome: boolean
}

interface HasherOptions {
  memoryKib: number
  passes: number
  /** Computations at a time. */
  concurrency: number
  /** Computations that may wait for their turn. */
  queue: number
  /** Where argon2 is computed; in this process by default. */
  computeTag?: ComputeTag
  /** Hears how long each computation took, in seconds, without the waiting. */
  onDone?: (seconds: number) => void
}

const SALT_LENGTH = 16
const TAG_LENGTH = 32
/** Kinds of hashes whose work every refusal does. More would cost too much: those that cost least are left out. */
const MOST_KINDS = 4
/** What the kinds besides today's may cost together, in units of today's: one hash of a gigabyte must not slow down every refusal. */
const MOST_WORK = 4

export function createPasswordHasher(options: HasherOptions): PasswordHasher {
  const { memoryKib, passes, concurrency, queue, computeTag = computeHere, onDone } = options
  const semaphore = createSemaphore({ permits: concurrency, queue, refusal: overloaded })
  const present: Kind = { memoryKib, passes, lanes: 1 }
  // Of no password.
  const salt = randomBytes(SALT_LENGTH)
  const nothing = randomBytes(TAG_LENGTH)

  const compute: ComputeTag = async (text, cost, length) => {
    const started = performance.now()
    try {
      return await computeTag(text, cost, length)
    } finally {
      onDone?.((performance.now() - started) / 1000)
    }
  }

  return {
    hash: (password) =>
      semaphore.run(async () => {
        const cost = { ...present, salt: randomBytes(SALT_LENGTH) }
        return formatPhc({ ...cost, tag: await compute(normalisePassword(password), cost, TAG_LENGTH) })
      }),
    verify: (stored, password, { inUse, welcome } = { inUse: [], welcome: true }) =>
      semaphore.run(async () => {
        const text = normalisePassword(password)
        // Ill-formed text is hashed as U+FFFD, so it would pass for a password that has one there.
        const real = stored === null || !text.isWellFormed() ? undefined : parsePhc(stored)
        // The time of a refusal must not tell which kind of hash an account has, or whether it has any: all of them are
        // computed, each once, and in one order, because the memory of one computation is found by the next.
        let matches = false
        for (const kind of withPlaceFor(real, kindsOf(inUse, present))) {
          const phc = real && kind === real ? real : { ...kind, salt, tag: nothing }
          const tag = await compute(text, phc, phc.tag.length)
          matches ||= timingSafeEqual(tag, phc.tag) && phc === real
          if (matches && welcome) return true
        }
        return matches
      }),
    needsRehash: (stored) => {
      const phc = parsePhc(stored)
      return !phc || work(phc) < work(present) || phc.salt.length < SALT_LENGTH || phc.tag.length < TAG_LENGTH
    },
    expectRoom: () => {
      if (semaphore.isFull()) throw overloaded()
    },
    pending: semaphore.pending,
  }
}

/** What makes one hash cost as much as another. */
type Kind = Pick<Phc, 'memoryKib' | 'passes' | 'lanes'>

/** argon2's time is linear in it. */
function work({ memoryKib, passes }: Kind): number {
  return memoryKib * passes
}

/**
 * The distinct ones; never empty. The present one is the first, so that whoever has a hash of today waits for no other, and
 * after it the dearest.
 */
function kindsOf(inUse: readonly string[], present: Kind): Kind[] {
  const kinds = new Map<string, Kind>()
  for (const text of inUse) {
    const kind = parseParameters(text)
    if (kind) kinds.set(keyOf(kind), kind)
  }
  const isPresent = kinds.delete(keyOf(present))
  let left = MOST_WORK * work(present)
  const others: Kind[] = []
  for (const kind of [...kinds.values()].toSorted((a, b) => work(b) - work(a))) {
    if (work(kind) > left) continue
    left -= work(kind)
    others.push(kind)
  }
  return (isPresent || others.length === 0 ? [present, ...others] : others).slice(0, MOST_KINDS)
}

function keyOf({ memoryKib, passes, lanes }: Kind): string {
  return `${memoryKib} ${passes} ${lanes}`
}

/** With the hash in the place of its kind; of the one most like it, where that was left out. */
function withPlaceFor(real: Phc | undefined, kinds: Kind[]): Kind[] {
  if (!real) return kinds
  const unlikeness = (kind: Kind): number => (keyOf(kind) === keyOf(real) ? -1 : Math.abs(work(kind) - work(real)))
  const least = Math.min(...kinds.map(unlikeness))
  const place = kinds.findIndex((kind) => unlikeness(kind) === least)
  return kinds.with(place, real)
}

function overloaded(): Problem {
  return new Problem('overloaded', { retryAfter: 1, reason: 'the queue for password hashes is full' })
}
