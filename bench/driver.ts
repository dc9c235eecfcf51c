// The process that makes the load. It is apart from the server so that its CPU time is not the server's, and keeps the
// token chains from one task to the next.
import { type Outcome, type Pace, runLoad, type Source } from './load.ts'
import { proving } from './proofs.ts'
import { createRing } from './ring.ts'
import { flooding, get, refreshing, repeating, signingIn, signingOut, type Work } from './sources.ts'
import { refreshTwice } from './twice.ts'

export type Task =
  | { host: string; tokens: string[] }
  | ({ host: string; work: Work } & Pace)
  | { host: string; twice: { ports: [number, number]; chains: number; seconds: number } }

export type Report = { outcome: Outcome | undefined } | { error: string }

let ring = createRing([])

async function perform(task: Task): Promise<Outcome | undefined> {
  if ('tokens' in task) {
    ring = createRing(task.tokens)
    return undefined
  }
  if ('twice' in task) return await refreshTwice(task.host, ring, task.twice)
  return await runLoad(sourceOf(task.host, task.work), task)
}

function sourceOf(host: string, work: Work): Source {
  switch (work.kind) {
    case 'refresh':
      return refreshing(
        host,
        ring,
        work.apart,
        work.key === undefined ? undefined : proving(`http://${host}/refresh`, work.key),
      )
    case 'login':
      return signingIn(host, work.emails, work.password)
    case 'logout':
      return signingOut(host, ring)
    case 'get':
      return repeating(get(host, work.path))
    case 'repeat':
      return repeating(work.request)
    case 'flood':
      return flooding(work.requests)
  }
}

process.on('message', (task: Task) => {
  perform(task).then(
    (outcome) => process.send?.({ outcome } satisfies Report),
    (error: Error) => process.send?.({ error: String(error.stack) } satisfies Report),
  )
})
process.on('disconnect', () => process.exit())
// Ctrl-C reaches the whole group; the process that started us decides when we end.
process.on('SIGINT', () => {})
