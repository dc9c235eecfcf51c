// The process in which passwords are hashed; started by hash-process.ts.
import { setPriority } from 'node:os'
import { type Cost, computeHere } from './argon2.ts'
import type { Foreign } from './foreign.ts'

export interface Request {
  id: number
  text: string
  cost: Cost | Foreign
  length: number
}

export type Reply = { id: number } & ({ kind: 'computed'; tag: Uint8Array } | { kind: 'failed'; error: string })

/** About a tenth of the weight of normal priority: low, but enough for sign-ins to go on while the server is busy. */
const NICENESS = 10

// Before the first computation: the threads of the pool inherit the priority of the thread that starts them.
setPriority(NICENESS)
// A signal from the terminal reaches the whole process group. The server finishes its requests first, and needs this
// process for that.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
// The server has ended or was killed. Calling `exit` would wait for the hash that is under way, which nobody needs.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
process.on('message', ({ id, text, cost, length }: Request) => {
  computeHere(text, 'scheme' in cost ? cost : { ...cost, salt: Buffer.from(cost.salt) }, length).then(
    (tag) => answer({ id, kind: 'computed', tag }),
    (error: Error) => answer({ id, kind: 'failed', error: error.message }),
  )
})

function answer(reply: Reply): void {
  // If the channel has closed in the meantime, `disconnect` ends this process.
  if (process.connected) process.send?.(reply, () => {})
}
