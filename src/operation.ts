import { NO_REQUEST, type RequestFacts } from './facts.ts'

/** Who does something: a user, an operator by name, a client on its own behalf, the server by itself, or nobody that is known. */
export type Actor = `user:${string}` | `operator:${string}` | `client:${string}` | 'server' | 'anonymous'

/** What everything that is written has in common: when, by whom and at whose request. Bound once, where the work begins. */
export interface Operation {
  /** For the rules as well as the rows. */
  now: Date
  actor: Actor
  facts: RequestFacts
}

/** What the server does by its own schedule. */
export function byServer(now: Date): Operation {
  return { now, actor: 'server', facts: NO_REQUEST }
}
