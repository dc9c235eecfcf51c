import type { Env } from '../config/sources.ts'
import { type RunningPart, servePart } from '../serve.ts'
import { endWhenTold, refuseToStart } from './endings.ts'
import { createSharedMemory } from './memory.ts'
import type { Notice, Order } from './messages.ts'

/**
 * Runs one of the processes that the primary has started. It ends with the primary, whatever ended that: Node closes a worker
 * whose channel breaks, and its connections break as if the whole server had been killed.
 */
export async function runWorker(env: Env): Promise<void> {
  let part: RunningPart | undefined
  let leads = false
  let stopping = false
  /** What it leaves with. */
  let code: 0 | 1 = 0
  const memory = createSharedMemory((id, keys) => void tell({ kind: 'ask', id, keys }))
  const begun = Promise.withResolvers<{ slot: number; of: number }>()
  const exit = async (): Promise<void> => {
    if (part) await tell({ kind: 'report', snapshot: await part.report() })
    process.exit(code)
  }

  // It goes on serving until it may leave: another process takes its place before.
  endWhenTold('shared', (how) => {
    code = how
    if (!part) process.exit(code)
    void tell({ kind: 'leaving', crashed: code !== 0 })
  })
  const obey = async (order: Order): Promise<void> => {
    switch (order.kind) {
      case 'begin':
        leads = order.leads
        return begun.resolve(order)
      case 'lead':
        leads = true
        return
      case 'report':
        return part && (await tell({ kind: 'report', id: order.id, snapshot: await part.report() }))
      case 'seen':
        return memory.hear(order.id, order.seen)
      case 'leave':
        await part?.leave({ hurried: code !== 0 })
        // A stop that has come meanwhile ends the process itself.
        return stopping ? undefined : await exit()
      case 'stop':
        stopping = true
        await part?.stop()
        return await exit()
    }
  }
  process.on('message', (order) => void obey(order as Order))

  try {
    part = await servePart(env, { ...(await begun.promise), leads: () => leads, wasSeen: memory.wasSeen })
    await tell({ kind: 'ready', url: part.url })
  } catch (error) {
    refuseToStart('shared', error)
  }
}

/** Resolves when it is sent. What cannot be sent any more has nobody to hear it. */
function tell(notice: Notice): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(notice, undefined, undefined, () => resolve())
    else resolve()
  })
}
