import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../cluster.ts'
import { createConnection } from '../connection.ts'
import type { Line } from '../line.ts'
import { cpuOfFamily, memoryOf } from '../processes.ts'
import type { Server } from '../server.ts'
import { forwardedFor, get } from '../sources.ts'
import type { Stage } from '../stage.ts'

const LIST = '/.well-known/revocations'
/** An access token of ten minutes, and the minute that verifiers allow for clocks. */
const KEPT_SECONDS = 660

/** The feed of revocations: its list at a hundred revocations a second, and a thousand readers who hear nothing. */
export async function feed(stage: Stage): Promise<Line[]> {
  return [...(await sizeOfList(stage)), ...(await idleStreams(stage))]
}

async function sizeOfList(stage: Stage): Promise<Line[]> {
  stage.say('feed: the list')
  const database = await stage.prepare({ users: 1, families: 1 })
  const entries = 100 * KEPT_SECONDS
  await revoke(database, entries, KEPT_SECONDS - 20)
  const server = await stage.start(database)
  const host = new URL(stage.issuer).host
  const connection = createConnection(server.port)
  while (
    Number((await database.query<{ seq: string }>('SELECT last_seq AS seq FROM revocation_feed'))[0]?.seq) < entries
  )
    await sleep(50)
  const read = async () => {
    const startedAt = performance.now()
    const { status, body } = await connection.send(get(host, LIST))
    return { status, bytes: body.length, ms: performance.now() - startedAt }
  }
  await read()
  const times: number[] = []
  const before = await cpuOfFamily(server.pid)
  let bytes = 0
  const faults: Record<string, number> = {}
  for (let reading = 0; reading < 5; reading++) {
    // A list is signed once a second.
    await sleep(1100)
    const answer = await read()
    if (answer.status !== 200) faults[answer.status] = (faults[answer.status] ?? 0) + 1
    times.push(answer.ms)
    bytes = answer.bytes
  }
  const cpu = (await cpuOfFamily(server.pid)) - before
  const memory = await memoryOf(server.pid)
  const median = times.toSorted((a, b) => a - b)[2] ?? Number.NaN
  connection.close()
  return [
    {
      what: `list of ${entries / 1000} k revocations, 100 a second: size`,
      against: `read in ${median.toFixed(0)} ms, ${(cpu / times.length).toFixed(0)} CPU-ms each`,
      figure: bytes / 2 ** 20,
      unit: 'MiB',
      faults,
    },
    { what: 'memory with that list', figure: memory, unit: 'MiB' },
  ]
}

async function revoke(database: Database, count: number, withinSeconds: number): Promise<void> {
  await database.query(
    `INSERT INTO revocations (id, kind, sid, sub, initiator, revoked_at)
      SELECT gen_random_uuid(), 'session', gen_random_uuid(), gen_random_uuid(), 'user',
        now() - n * $2::float8 / $1::int * interval '1 second' FROM generate_series(1, $1::int) AS n`,
    [count, withinSeconds],
  )
}

const STREAMS = 1000

async function idleStreams(stage: Stage): Promise<Line[]> {
  stage.say('feed: idle streams')
  const database = await stage.prepare({ users: 1, families: 1 })
  const server = await stage.start(database, { env: { TRUSTED_PROXIES: '127.0.0.1' } })
  await sleep(3000)
  const without = await memoryOf(server.pid)
  const host = new URL(stage.issuer).host
  const opened: { socket: Socket; status: string }[] = []
  for (let n = 0; n < STREAMS; n++) opened.push(await openStream(server, host, n))
  await sleep(10_000)
  const cpuBefore = await cpuOfFamily(server.pid)
  await sleep(10_000)
  const cpuPerSecond = ((await cpuOfFamily(server.pid)) - cpuBefore) / 10
  const memory = (await memoryOf(server.pid)) - without
  for (const { socket } of opened) socket.destroy()
  const refused = opened.filter(({ status }) => status !== '200').length
  return [
    {
      what: `${STREAMS} idle streams: memory of each`,
      against: `${memory.toFixed(0)} MiB in all; ${cpuPerSecond.toFixed(0)} CPU-ms a second`,
      figure: (memory * 1024) / STREAMS,
      unit: 'KiB',
      faults: refused > 0 ? { refused } : {},
    },
  ]
}

/** Twenty from each address. */
async function openStream({ port }: Server, host: string, n: number): Promise<{ socket: Socket; status: string }> {
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  socket.write(get(host, `${LIST}/stream`, forwardedFor(18, Math.floor(n / 20))))
  const [head] = (await once(socket, 'data')) as [Buffer]
  socket.resume()
  return { socket, status: head.toString('latin1', 9, 12) }
}
