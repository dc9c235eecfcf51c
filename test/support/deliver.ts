import { type HandOverDeps, handOver, LEASE_MS } from '../../src/outbox/hand-over.ts'
import type { Handlers } from '../../src/outbox/outbox.ts'
import { takeDue } from '../../src/outbox/queries.ts'

/** What a worker does, at once and until nothing is due: what fails is due later, so each is tried once. */
export async function deliverDue(deps: HandOverDeps, handlers: Handlers): Promise<void> {
  const rooms = Object.keys(handlers).map((kind) => ({ kind, most: 10 }))
  const never = new AbortController().signal
  for (;;) {
    const now = deps.clock()
    const { taken } = await takeDue(deps.db, now, { rooms, until: new Date(now.getTime() + LEASE_MS) })
    if (taken.length === 0) return
    await Promise.all(taken.map((each) => handOver(deps, handlers, each, never)))
  }
}
