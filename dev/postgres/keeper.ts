// The process that owns one PostgreSQL. Whoever uses the cluster holds a connection to this process; when the last one
// is gone, killed ones included because the system closes their sockets, it stops PostgreSQL and exits.
import { randomBytes } from 'node:crypto'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Cluster, type ClusterOptions, startCluster } from './cluster.ts'
import { tryLock } from './lock.ts'
import { sweepAbandoned } from './sweep.ts'

/** In keeper.json, readable by its owner only: how to reach the keeper. */
export interface Address {
  pid: number
  port: number
  /** Shows the keeper that a caller may read this folder: other users of the machine reach the port too. */
  key: string
  postgresPort?: number
}

export type Reply = { state: 'starting' } | { state: 'ready'; port: number } | { state: 'failed'; message: string }

const idleMs = 2000

async function keep(options: ClusterOptions): Promise<void> {
  const addressFile = join(options.home, 'keeper.json')
  const lock = await becomeTheOnlyOne(join(options.home, 'keeper.lock'), addressFile)
  if (!lock) return
  const last = await readAddress(addressFile)
  const key = randomBytes(16).toString('hex')
  const users = new Set<Socket>()
  let reply: Reply = { state: 'starting' }
  const tell = (socket: Socket) => socket.write(`${JSON.stringify(reply)}\n`)

  const door = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', (data) => {
      if (data.toString().trim() !== key) return socket.destroy()
      users.add(socket)
      tell(socket)
    })
    socket.once('close', () => users.delete(socket))
  })
  await new Promise<void>((done) => door.listen(0, '127.0.0.1', done))
  const address: Address = { pid: process.pid, port: (door.address() as AddressInfo).port, key }
  const publish = async (): Promise<void> => {
    await writeFile(`${addressFile}.new`, JSON.stringify(address), { mode: 0o600 })
    await rename(`${addressFile}.new`, addressFile)
  }
  await publish()

  const leave = async (code: number): Promise<never> => {
    door.close()
    await rm(addressFile, { force: true })
    for (const socket of users) socket.end()
    if (options.ephemeral) await rm(options.home, { recursive: true, force: true })
    lock.close()
    return process.exit(code)
  }

  const open = async (port?: number): Promise<Cluster> => {
    const cluster = await startCluster({ ...options, port })
    reply = { state: 'ready', port: cluster.port }
    address.postgresPort = cluster.port
    await publish()
    for (const socket of users) tell(socket)
    return cluster
  }
  const fail = async (error: unknown): Promise<never> => {
    reply = { state: 'failed', message: error instanceof Error ? error.message : String(error) }
    for (const socket of users) tell(socket)
    console.error(reply.message)
    return leave(1)
  }

  let asked = false
  process.on('SIGINT', () => {})
  process.on('SIGHUP', () => {})
  process.on('SIGTERM', () => {
    asked = true
  })
  let cluster = await open(last?.postgresPort).catch(fail)
  if (options.ephemeral) await sweepAbandoned(options.home).catch((error: Error) => console.error(error.message))

  let emptySince: number | undefined
  let served = false
  while (!asked) {
    await sleep(users.size === 0 ? 50 : 250)
    if (users.size > 0) {
      served = true
      emptySince = undefined
    } else {
      emptySince ??= performance.now()
      // Nobody comes back to an ephemeral cluster.
      if (performance.now() - emptySince >= (options.ephemeral && served ? 0 : idleMs)) break
    }
    if (!(await cluster.running())) cluster = await open(cluster.port).catch(fail)
  }
  // Whoever comes from here on finds no keeper, starts another, and that one waits for our lock.
  door.close()
  await rm(addressFile, { force: true })
  await cluster.stop().catch((error: Error) => console.error(error.message))
  await leave(0)
}

/** The lock; or undefined, once another keeper serves this folder. */
async function becomeTheOnlyOne(lockFile: string, addressFile: string): Promise<DatabaseSync | undefined> {
  for (;;) {
    const lock = tryLock(lockFile)
    if (lock) return lock
    const other = await readAddress(addressFile)
    if (other && isAlive(other.pid)) return undefined
    await sleep(50) // it is about to serve, or about to leave
  }
}

async function readAddress(path: string): Promise<Address | undefined> {
  return JSON.parse(await readFile(path, 'utf8').catch(() => 'null')) ?? undefined
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

if (import.meta.main) await keep(JSON.parse(await readStdin()) as ClusterOptions)

/** The options hold the password, which others would see among the arguments of a process. */
async function readStdin(): Promise<string> {
  let text = ''
  for await (const chunk of process.stdin) text += chunk
  return text
}
