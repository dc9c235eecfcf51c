import { randomBytes, timingSafeEqual } from 'node:crypto'
import { Problem } from '../errors.ts'
import { createLimit } from '../limit.ts'
import { type ComputeTag, computeHere } from './argon2.ts'
import { normalisePassword } from './password-policy.ts'
import { formatPhc, parsePhc } from './phc.ts'
import { createUsualTimes } from './usual-times.ts'

export interface PasswordHasher {
  /**
   * PHC string of a new password with the current parameters and a fresh salt.
   * @throws Problem overloaded, when too many computations wait already.
   */
  hash(password: string): Promise<string>
  /**
   * Whether the password belongs to the hash. Null stands for an account without one (or for no account): the same work
   * is done and the answer is no. A malformed hash is answered the same way.
   * @throws Problem overloaded, when too many computations wait already.
   */
  verify(hash: string | null, password: string): Promise<boolean>
  /** Whether the hash costs an attacker less than one made now. A stronger one is left as it is. */
  needsRehash(hash: string): boolean
  /** @throws Problem overloaded, if a computation asked for now would be turned away. */
  expectRoom(): void
  /** Computations that run or wait. */
  pending(): number
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

export function createPasswordHasher(options: HasherOptions): PasswordHasher {
  const { memoryKib, passes, concurrency, queue, computeTag = computeHere, onDone } = options
  const limit = createLimit(concurrency, queue)
  const budget = memoryKib * passes

  const compute = async <T>(work: () => Promise<T>): Promise<T> => {
    const turn = await limit.enter()
    if (!turn) throw overloaded()
    const started = performance.now()
    try {
      return await work()
    } finally {
      turn.leave()
      onDone?.((performance.now() - started) / 1000)
    }
  }

  const hash = (password: string): Promise<string> =>
    compute(async () => {
      const parameters = { memoryKib, passes, lanes: 1, salt: randomBytes(SALT_LENGTH) }
      const tag = await computeTag(normalisePassword(password), parameters, TAG_LENGTH)
      return formatPhc({ ...parameters, tag })
    })

  // With the parameters of now, so that an unknown account costs what a known one does. No password has this tag.
  const dummy = { memoryKib, passes, lanes: 1, salt: randomBytes(SALT_LENGTH), tag: randomBytes(TAG_LENGTH) }

  const usual = createUsualTimes(() => computeTag('', dummy, TAG_LENGTH))

  return {
    hash,
    verify: (stored, password) =>
      compute(async () => {
        const text = normalisePassword(password)
        // Ill-formed text is hashed as U+FFFD, so it would pass for a password that has one there.
        const real = stored === null || !text.isWellFormed() ? undefined : parsePhc(stored)
        const phc = real ?? dummy
        const started = performance.now()
        const tag = await computeTag(text, phc, phc.tag.length)
        const matches = timingSafeEqual(tag, phc.tag) && real !== undefined
        const took = performance.now() - started
        if (matches) return true
        // A hash from the time of weaker settings verifies sooner, which would tell its account from an unknown one.
        if (phc.memoryKib * phc.passes < budget) await usual.pad(took)
        else usual.note(took)
        return false
      }),
    needsRehash: (stored) => {
      const phc = parsePhc(stored)
      return !phc || phc.memoryKib * phc.passes < budget || phc.salt.length < SALT_LENGTH || phc.tag.length < TAG_LENGTH
    },
    expectRoom: () => {
      if (limit.full()) throw overloaded()
    },
    pending: limit.pending,
  }
}

function overloaded(): Problem {
  return new Problem('overloaded', { retryAfter: 1, reason: 'the queue for password hashes is full' })
}
