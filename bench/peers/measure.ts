import { type Answer, createConnection, portOf } from '../connection.ts'
import { type Item, type Outcome, runLoad, type Source, sumFaults } from '../load.ts'
import { cpuOfFamily } from '../processes.ts'
import { createRing, type Ring } from '../ring.ts'
import { type Message, render, type User } from './adapter.ts'
import type { Peer, RowName } from './options.ts'

/** Several outcomes of one server and one row, and what they cost. */
export interface Measured {
  done: number
  perSecond: number
  /** Milliseconds, closed loop; of several turns the mean of each. */
  p50: number
  p99: number
  /** CPU milliseconds per request without fault; absent where no process was named. */
  server?: number
  stores: Map<string, number>
  faults: Record<string, number>
}

const connectionsFor: Record<RowName, number> = { 'sign-in': 8, refresh: 32, 'client-credentials': 32 }

/** @returns undefined where this server has no such thing. */
export function sourceOf(row: RowName, peer: Peer, users: User[], sessions: string[]): Source | undefined {
  const { signIn, refresh, clientCredentials } = peer
  if (row === 'sign-in') return signIn && users.length > 0 ? signingIn(peer, signIn, users) : undefined
  if (row === 'refresh') {
    return refresh && sessions.length > 0 ? refreshing(peer, refresh, createRing([...sessions])) : undefined
  }
  return clientCredentials && granting(peer, clientCredentials())
}

export async function run(row: RowName, peer: Peer, source: Source, seconds: number): Promise<Outcome> {
  const pace = { port: portOf(peer.url), connections: connectionsFor[row], seconds }
  return await runLoad(source, pace, () => createConnection(peer.url))
}

export async function measure(
  row: RowName,
  peer: Peer,
  source: Source,
  seconds: number,
  stores: Map<string, number>,
): Promise<{ outcome: Outcome; server: number | undefined; stores: Map<string, number> }> {
  const processes = new Map(stores)
  if (peer.pid !== undefined) processes.set('', peer.pid)
  const before = await read(processes)
  const outcome = await run(row, peer, source, seconds)
  const after = await read(processes)
  const spent = new Map([...after].map(([name, value]) => [name, value - (before.get(name) ?? 0)]))
  const server = spent.get('')
  spent.delete('')
  return { outcome, server, stores: spent }
}

/** CPU milliseconds so far. @throws Error if a process is not there. */
async function read(processes: Map<string, number>): Promise<Map<string, number>> {
  return new Map(
    await Promise.all([...processes].map(async ([name, pid]) => [name, await cpuOfFamily(pid)] as [string, number])),
  )
}

export function combine(turns: Awaited<ReturnType<typeof measure>>[]): Measured {
  const sum = (of: (turn: (typeof turns)[number]) => number): number => turns.reduce((all, turn) => all + of(turn), 0)
  const done = sum(({ outcome }) => outcome.done)
  const names = [...(turns[0]?.stores.keys() ?? [])]
  return {
    done,
    perSecond: done / sum(({ outcome }) => outcome.seconds),
    p50: sum(({ outcome }) => outcome.p50) / turns.length,
    p99: sum(({ outcome }) => outcome.p99) / turns.length,
    ...(turns[0]?.server === undefined ? {} : { server: sum(({ server = 0 }) => server) / done }),
    stores: new Map(names.map((name) => [name, sum(({ stores }) => stores.get(name) ?? 0) / done])),
    faults: sumFaults(...turns.map(({ outcome }) => outcome)),
  }
}

function judge(peer: Peer, answer: Answer | undefined, presented?: string) {
  const credential = answer && peer.credentialIn(answer, presented)
  return { credential, fault: credential === undefined ? String(answer?.status ?? 'no answer') : undefined }
}

function signingIn(peer: Peer, signIn: (user: User) => Message, users: User[]): Source {
  const items = users.map(
    (user): Item => ({
      request: render(peer.url, signIn(user)),
      judge: (answer) => {
        const seconds = answer?.status === 503 ? Number(/^retry-after: *(\d+)/im.exec(answer.head)?.[1] ?? 1) : 0
        return { fault: judge(peer, answer).fault, waitMs: seconds * 1000 * (1 + Math.random()) }
      },
    }),
  )
  let turn = 0
  return () => items[turn++ % items.length]
}

/** Each credential is under way once at a time, and what the answer gives takes its place. */
function refreshing(peer: Peer, refresh: (credential: string) => Message, ring: Ring): Source {
  return () => {
    const presented = ring.take()
    if (presented === undefined) return undefined
    return {
      request: render(peer.url, refresh(presented)),
      judge: (answer) => {
        const { credential, fault } = judge(peer, answer, presented)
        if (credential !== undefined) ring.put(credential)
        else if (answer === undefined || answer.status >= 500) ring.put(presented)
        return { fault }
      },
    }
  }
}

function granting(peer: Peer, message: Message): Source {
  const item: Item = {
    request: render(peer.url, message),
    judge: (answer) => ({ fault: judge(peer, answer, '').fault }),
  }
  return () => item
}
