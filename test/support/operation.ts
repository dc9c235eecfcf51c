import type { Clock } from '../../src/clock.ts'
import { NO_REQUEST } from '../../src/facts.ts'
import type { Operation } from '../../src/operation.ts'

/** As somebody does at the command line. */
export function byOperator({ clock }: { clock: Clock }): Operation {
  return { now: clock(), actor: 'operator:ada', facts: NO_REQUEST }
}
