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
}

/** What the database knows of a family; a rollback of the database puts an older copy back. */
export interface ModelFamily {
  live: boolean
  current: string
  generation: number
  previous: string | undefined
  usedAt: number
  key: string | undefined
  startedAt: number
}

export type Expected =
  /** Refused. */
  | { reply: 'no' }
  /** A token never seen before. */
  | { reply: 'new'; becomes: (token: string) => void }
  /** Exactly this token. */
  | { reply: 'same'; token: string }

export class Model {
  readonly policy: ModelPolicy
  family: ModelFamily
  /** Of every token ever made for this family, also those the database has forgotten. */
  readonly generationOf = new Map<string, number>()

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

  expired(now: number): boolean {
    return now >= this.family.usedAt + this.policy.idle || now >= this.family.startedAt + this.policy.absolute
  }

  usable(now: number): boolean {
    return this.family.live && !this.expired(now)
  }

  end(): void {
    this.family.live = false
  }

  present(token: string, key: string | undefined, now: number): Expected {
    const f = this.family
    const generation = this.generationOf.get(token)
    if (generation === undefined || !this.usable(now)) return { reply: 'no' }
    if (token === f.current) return this.rotate(token, generation, key, now)
    if (generation >= f.generation) {
      return this.policy.rollForward === 'on' ? this.rotate(token, generation, key, now) : { reply: 'no' }
    }
    if (token === f.previous) {
      const sameKey = key !== undefined && key === f.key
      const inGrace = this.policy.grace > 0 && now <= f.usedAt + this.policy.grace
      if (sameKey || inGrace) return { reply: 'same', token: f.current }
      if (this.policy.lateRetry === 'recover' && key === undefined && f.key === undefined) {
        return this.rotate(token, f.generation, key, now)
      }
    }
    this.end()
    return { reply: 'no' }
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
