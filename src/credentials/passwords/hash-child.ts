// The process in which passwords are hashed; started by hash-process.ts.
import { setPriority } from 'node:os'
import { type Cost, computeHere } from './argon2.ts'

export interface Request {
  id: number
  text: string
  cost: Cost
  length: number
}

export type Reply = { id: number } & ({ kind: 'computed'; tag: Uint8Array } | { kind: 'failed'; error: string })

/** A tenth of the weight of what runs at normal priority: not so little that a busy server would sign nobody in. */
const NICENESS = 10

// Before the first computation: the threads of the pool take over the priority of the one that starts them.
setPriority(NICENESS)
// A signal from the terminal reaches the whole group. The server lets its requests finish first, and needs us for that.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
// The server is gone, also if it was killed. Not `exit`, which would wait for the hash under way, and nobody wants it.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
process.on('message', ({ id, text, cost, length }: Request) => {
  computeHere(text, { ...cost, salt: Buffer.from(cost.salt) }, length).then(
    (tag) => answer({ id, kind: 'computed', tag }),
    (error: Error) => answer({ id, kind: 'failed', error: error.message }),
  )
})

function answer(reply: Reply): void {
  // The channel may have closed meanwhile; then `disconnect` ends us.
  if (process.connected) process.send?.(reply, () => {})
}
