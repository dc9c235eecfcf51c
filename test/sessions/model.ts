/**
 * A small model of the refresh-token rules, written from the table and not from the code: it knows tokens only as the
 * strings that a client sees, and time as seconds. The random schedules in model.test.ts compare it with the server.
 */
export interface ModelPolicy {
  grace: number
  lateRetry: 'revoke' | 'recover'
  rollForward: 'on' | 'off'
  idle: number
  absolute: number
  /** Whether families are bound to a key, and whether their client knows the nonce of the moment. */
  bound: 'no' | 'proofs' | 'nonces'
}

/** What a request proves: nothing, another key, that of the family, or that it was made just now by that of the family. */
export type Proof = 'none' | 'other' | 'own' | 'fresh'

/** What the database knows of a family; a rollback of the database puts an older copy back. */
export interface ModelFamily {
  live: boolean
  /** Undefined: nobody has heard it yet. */
  current: string | undefined
  generation: number
  previous: string | undefined
  usedAt: number
  key: string | undefined
  startedAt: number
}

export type Expected =
  /** Refused. */
  | { reply: 'no' }
  /** Refused for want of the key, with nothing changed. */
  | { reply: 'unproved' }
  /** A token never seen before. */
  | { reply: 'new'; becomes: (token: string) => void }
  /** Exactly this token; any if it is undefined, because its first answer was lost on the way. */
  | { reply: 'same'; token: string | undefined }

interface Debt {
  since: number
  until: number
  answered: boolean
}

export class Model {
  readonly policy: ModelPolicy
  family: ModelFamily
  /** Of every token ever made for this family, also those the database has forgotten. */
  readonly generationOf = new Map<string, number>()
  /** Tokens whose bearer was told to come back, or kept waiting: since when, and until when that counts. */
  private readonly owed = new Map<string, Debt>()

  constructor(policy: ModelPolicy, first: string, now: number) {
    this.policy = policy
    this.family = {
      live: true,
      current: first,
      generation: 0,
      previous: undefined,
      usedAt: now,
      key: undefined,
      startedAt: now,
    }
    this.generationOf.set(first, 0)
  }

  expired(arrived: number, now = arrived): boolean {
    return arrived >= this.family.usedAt + this.policy.idle || now >= this.family.startedAt + this.policy.absolute
  }

  usable(arrived: number, now = arrived): boolean {
    return this.family.live && !this.expired(arrived, now)
  }

  end(): void {
    this.family.live = false
  }

  /** As a retry of which moment a request counts that arrives now. */
  since(token: string, arrived: number): number {
    return this.debt(token, arrived)?.since ?? arrived
  }

  /** The server said "later" at `now`. Where a limit was the reason, that has an end. */
  defer(
    token: string,
    arrived: number,
    now: number,
    { retryAfter, limit }: { retryAfter: number; limit: boolean },
  ): void {
    const since = this.since(token, arrived)
    const until = now + retryAfter + this.policy.grace
    this.owed.set(token, {
      since,
      until: limit ? Math.min(until, since + 60 + this.policy.grace) : until,
      answered: false,
    })
  }

  /**
   * The server has answered the token at `now`. A retry that waited, or came back as told, has the rest of its grace once more.
   * @returns until when it has it.
   */
  settle(token: string, arrived: number, now: number, isRetry: boolean): number | undefined {
    const debt = this.debt(token, arrived)
    const owe = (since: number, until: number): number => {
      this.owed.set(token, { since, until, answered: true })
      return until
    }
    if (!isRetry) {
      if (now - this.family.usedAt > 1) return owe(arrived, now + this.policy.grace)
      if (debt) this.owed.delete(token)
      return undefined
    }
    if (debt?.answered) return debt.until
    const since = debt?.since ?? arrived
    if (!debt && now - arrived <= 1) return undefined
    return owe(since, now + this.policy.grace - Math.max(0, since - this.family.usedAt))
  }

  /** Another process is asked from now on. */
  forgetDebts(): void {
    this.owed.clear()
  }

  /** @param time when it arrived, and when it was judged. */
  present(token: string, key: string | undefined, proof: Proof, time: { arrived: number; now: number }): Expected {
    const { arrived, now } = time
    const f = this.family
    const since = this.since(token, arrived)
    const generation = this.generationOf.get(token)
    if (generation === undefined || !this.usable(arrived, now)) return { reply: 'no' }
    const isBound = this.policy.bound !== 'no'
    if (isBound && (proof === 'none' || proof === 'other')) return { reply: 'unproved' }
    if (token === f.current) return this.rotate(token, generation, key, now)
    if (generation >= f.generation) {
      return this.policy.rollForward === 'on' ? this.rotate(token, generation, key, now) : { reply: 'no' }
    }
    if (token === f.previous) {
      const sameKey = key !== undefined && key === f.key
      const inGrace = this.policy.grace > 0 && since <= f.usedAt + this.policy.grace
      const isOwners = isBound && proof === 'fresh' && key === undefined && f.key === undefined
      if (sameKey || inGrace || isOwners) return { reply: 'same', token: f.current }
      if (this.policy.lateRetry === 'recover' && key === undefined && f.key === undefined) {
        return this.rotate(token, f.generation, key, now)
      }
    }
    this.end()
    return { reply: 'no' }
  }

  /** It was rotated, and nobody has heard the successor. */
  rotatedUnheard(token: string, generation: number, key: string | undefined, usedAt: number): void {
    this.family = { ...this.family, current: undefined, generation, previous: token, usedAt, key }
  }

  /** The successor of which nobody had heard. */
  hear(token: string): void {
    if (this.family.current !== undefined) return
    this.family.current = token
    this.generationOf.set(token, this.family.generation)
  }

  private debt(token: string, arrived: number): Debt | undefined {
    const debt = this.owed.get(token)
    return debt && arrived <= debt.until && debt.since < arrived ? debt : undefined
  }

  private rotate(token: string, above: number, key: string | undefined, now: number): Expected {
    return {
      reply: 'new',
      becomes: (successor) => {
        const generation = Math.max(above, this.family.generation) + 1
        this.generationOf.set(successor, generation)
        this.family = { ...this.family, current: successor, generation, previous: token, usedAt: now, key }
      },
    }
  }
}
