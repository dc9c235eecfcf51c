import { randomBytes, timingSafeEqual } from 'node:crypto'
import { Problem } from '../../errors.ts'
import { createSemaphore } from '../../semaphore.ts'
import { type ComputeTag, type Cost, computeHere } from './argon2.ts'
import { BCRYPT_READS, type Foreign, parseForeign } from './foreign.ts'
import { formatPhc, type Phc, parseParameters, parsePhc } from './phc.ts'
import { normalisePassword } from './policy.ts'

export interface PasswordHasher {
  /**
   * PHC string of a new password with the current parameters and a fresh salt.
   * @throws Problem overloaded, when too many computations wait already.
   */
  hash(password: string): Promise<string>
  /**
   * Whether the password matches the hash. Null stands for an account without a hash, or for no account, and so does a
   * malformed hash.
   * @throws Problem overloaded, when too many computations wait already.
   */
  verify(hash: string | null, password: string, surroundings?: Surroundings): Promise<boolean>
  /**
   * Whether the hash is cheaper to attack than one made now, or from another system. A stronger one is kept as it is.
   * @param password that matches it.
   */
  needsRehash(hash: string, password: string): boolean
  /** @throws Problem overloaded, if a computation would be refused now. */
  expectRoom(): void
  /** Computations that run or wait. */
  pending(): number
}

/** What the duration of a refusal must not depend on. */
export interface Surroundings {
  /** The parameters of all stored hashes, as in PHC strings. */
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
/** How many kinds of hashes every refusal computes. More would cost too much, so the cheapest are left out. */
const MOST_KINDS = 4
/**
 * What kinds other than today's may cost together, in units of today's: a hash of a gigabyte must not slow every
 * refusal.
 */
const MOST_WORK = 4

export function createPasswordHasher(options: HasherOptions): PasswordHasher {
  const { memoryKib, passes, concurrency, queue, computeTag = computeHere, onDone } = options
  const semaphore = createSemaphore({ permits: concurrency, queue, refusal: overloaded })
  const present: Kind = { memoryKib, passes, lanes: 1 }
  // A tag that matches no password.
  const salt = randomBytes(SALT_LENGTH)
  const nothing = randomBytes(TAG_LENGTH)

  const compute = async (text: string, cost: Cost, length: number): Promise<Buffer> => {
    const started = performance.now()
    try {
      return await computeTag(text, cost, length)
    } finally {
      onDone?.((performance.now() - started) / 1000)
    }
  }

  /** Takes the text as it was typed: other systems did not normalise it. None of them should have taken zero characters. */
  const matchesForeign = async (foreign: Foreign, text: string): Promise<boolean> =>
    text.isWellFormed() &&
    !text.includes('\0') &&
    timingSafeEqual(await computeTag(text, foreign, foreign.tag.length), foreign.tag)

  return {
    hash: (password) =>
      semaphore.run(async () => {
        const cost = { ...present, salt: randomBytes(SALT_LENGTH) }
        return formatPhc({ ...cost, tag: await compute(normalisePassword(password), cost, TAG_LENGTH) })
      }),
    verify: (stored, password, { inUse, welcome } = { inUse: [], welcome: true }) =>
      semaphore.run(async () => {
        const foreign = stored === null ? undefined : parseForeign(stored)
        let matches = foreign !== undefined && (await matchesForeign(foreign, password))
        // A refusal still computes what every refusal does, and takes longer, until the owner has signed in.
        if (matches && welcome) return true
        const text = normalisePassword(password)
        // Ill-formed text would be hashed as U+FFFD, and would match a password with that character.
        const real = stored === null || !text.isWellFormed() ? undefined : parsePhc(stored)
        // The time of a refusal must not tell an attacker which kind of hash an account has, or whether it exists. So
        // every kind is computed once, always in the same order, because each computation reuses the memory of the one
        // before.
        for (const kind of withPlaceFor(real, kindsOf(inUse, present))) {
          const phc = real && kind === real ? real : { ...kind, salt, tag: nothing }
          const tag = await compute(text, phc, phc.tag.length)
          matches ||= timingSafeEqual(tag, phc.tag) && phc === real
          if (matches && welcome) return true
        }
        return matches
      }),
    needsRehash: (stored, password) => {
      const foreign = parseForeign(stored)
      // What bcrypt has not read was not checked. It must not become a part of the password: it may be mistyped.
      if (foreign) return foreign.scheme !== 'bcrypt' || Buffer.byteLength(password) <= BCRYPT_READS
      const phc = parsePhc(stored)
      return !phc || work(phc) < work(present) || phc.salt.length < SALT_LENGTH || phc.tag.length < TAG_LENGTH
    },
    expectRoom: () => {
      if (semaphore.isFull()) throw overloaded()
    },
    pending: semaphore.pending,
  }
}

/** The parameters that determine the cost of a hash. */
type Kind = Pick<Phc, 'memoryKib' | 'passes' | 'lanes'>

/** argon2's time is linear in it. */
function work({ memoryKib, passes }: Kind): number {
  return memoryKib * passes
}

/**
 * The distinct kinds, never empty: today's first, so that a user with a hash of today waits for no other, then the
 * others, most expensive first.
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

/** Puts the hash in the place of its own kind, or of the most similar one if its kind was left out. */
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
