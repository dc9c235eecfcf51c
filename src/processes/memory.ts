import type { WasSeen } from '../seen.ts'

export interface SharedMemory {
  wasSeen: WasSeen
  /** Takes the answer to a question. */
  hear(id: number, seen: readonly boolean[]): void
}

/**
 * A memory of the primary, as a worker has it: what one worker has seen is known to all. What is asked within a turn of the event loop goes
 * together.
 * @param ask sends a question.
 */
export function createSharedMemory(ask: (id: number, keys: string[]) => void): SharedMemory {
  const asked = new Map<number, ((seen: boolean) => void)[]>()
  let keys: string[] = []
  let waiting: ((seen: boolean) => void)[] = []
  let lastId = 0
  const send = () => {
    const id = ++lastId
    asked.set(id, waiting)
    ask(id, keys)
    keys = []
    waiting = []
  }
  return {
    wasSeen: (key) =>
      new Promise((resolve) => {
        if (keys.push(key) === 1) setImmediate(send)
        waiting.push(resolve)
      }),
    hear: (id, seen) => {
      for (const [index, resolve] of (asked.get(id) ?? []).entries()) resolve(seen[index] ?? true)
      asked.delete(id)
    },
  }
}
