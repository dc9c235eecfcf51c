import { NO_REQUEST, type RequestFacts } from './facts.ts'

/** Who does something: a user, an operator by name, a client on its own behalf, the server itself, or an unknown caller. */
export type Actor = `user:${string}` | `operator:${string}` | `client:${string}` | 'server' | 'anonymous'

/** What every write has in common: when, by whom, and at which request. Bound once, where the work begins. */
export interface Operation {
  /** Used by the rules as well as for the rows. */
  now: Date
  actor: Actor
  facts: RequestFacts
}

/** The operation of work that the server does on schedule. */
export function byServer(now: Date): Operation {
  return { now, actor: 'server', facts: NO_REQUEST }
}
