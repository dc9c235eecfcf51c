import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, openSync } from 'node:fs'
import { chmod, mkdir, readFile, realpath } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createOnce } from './create-once.ts'
import type { PostgresVersion } from './postgres/binaries.ts'
import { type ClusterOptions, urlOf } from './postgres/cluster.ts'
import type { Address, Reply } from './postgres/keeper.ts'

export interface PostgresOptions {
  /** Holds the data, the password and the log. Created if it is missing. */
  directory: string
  version?: PostgresVersion
  /** Fast and unsafe, for tests: the whole directory is removed when the last user is gone. */
  ephemeral?: boolean
  /** Called if it is not running yet: starting takes a second or more. */
  onStart?: () => void
}

export interface EmbeddedPostgres {
  /** URL of the database "claviger", as superuser. */
  url: string
  close(): Promise<void>
}

const strangerMs = 2000
const keeperFile = fileURLToPath(new URL('./postgres/keeper.ts', import.meta.url))

/**
 * Starts the PostgreSQL of a directory, or joins the one that another process has started there. It runs until its last
 * user has called close() or has ended, even if it was killed. An open connection to it keeps no process alive.
 * @throws Error with PostgreSQL's own words if it does not start.
 */
export async function openPostgres({
  directory,
  version = '18',
  ephemeral = false,
  onStart = () => {},
}: PostgresOptions): Promise<EmbeddedPostgres> {
  await mkdir(directory, { recursive: true })
  const home = await realpath(directory)
  // PostgreSQL may run as another user, who must be able to enter; secrets inside have stricter modes.
  await chmod(home, 0o755).catch(() => {})
  const password = await createOnce(join(home, 'password'), () => randomBytes(24).toString('base64url'))
  const options: ClusterOptions = { home, version, ephemeral, password }

  let closed = false
  let joined = await becomeUser(options, onStart)
  const stay = (socket: Socket): void => {
    socket.unref()
    socket.once('close', () => {
      // The keeper was killed. Another one takes over the running cluster, with the same port.
      if (!closed)
        becomeUser(options).then(
          (again) => stay((joined = again).socket),
          () => {},
        )
    })
  }
  stay(joined.socket)

  return {
    url: urlOf(joined.port, password),
    close: async () => {
      closed = true
      joined.socket.end()
      for (let waited = 0; ephemeral && existsSync(home) && waited < 10_000; waited += 20) await sleep(20)
    },
  }
}

interface Joined {
  socket: Socket
  port: number
}

async function becomeUser(options: ClusterOptions, onStart = () => {}): Promise<Joined> {
  let keeper: ChildProcess | undefined
  for (let failures = 0; ; ) {
    const joined = await knock(options.home)
    if (joined) return joined
    if (!keeper || keeper.exitCode !== null || keeper.signalCode !== null) {
      // With 0, it has found another keeper, which is then joined.
      if (keeper && keeper.exitCode !== 0 && ++failures === 3) {
        throw new Error(`PostgreSQL did not start, see ${join(options.home, 'keeper.log')}`)
      }
      if (!keeper) onStart()
      keeper = spawnKeeper(options)
    }
    await sleep(30)
  }
}

function spawnKeeper(options: ClusterOptions): ChildProcess {
  const log = openSync(join(options.home, 'keeper.log'), 'a', 0o600)
  const { NODE_OPTIONS: _, ...env } = process.env
  // Detached: in a process group of its own, it outlives Ctrl-C in our terminal, and us for the moments it needs.
  const keeper = spawn(process.execPath, [keeperFile], {
    cwd: options.home,
    detached: true,
    stdio: ['pipe', log, log],
    env,
  })
  closeSync(log)
  keeper.once('error', () => {})
  keeper.stdin?.on('error', () => {})
  keeper.stdin?.end(JSON.stringify(options))
  keeper.unref()
  return keeper
}

/**
 * Becomes a user of the keeper that serves `home`.
 * @returns undefined if there is none.
 * @throws Error with the keeper's reason if it cannot start PostgreSQL.
 */
async function knock(home: string): Promise<Joined | undefined> {
  const file = await readFile(join(home, 'keeper.json'), 'utf8').catch(() => undefined)
  if (!file) return undefined
  const { port, key } = JSON.parse(file) as Address
  const socket = connect(port, '127.0.0.1')
  return new Promise((done, fail) => {
    // The port of a killed keeper may have gone to a program that has nothing to say to us.
    const stranger = setTimeout(() => socket.destroy(), strangerMs)
    let text = ''
    socket.on('data', (chunk) => {
      clearTimeout(stranger)
      const lines = (text + chunk).split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) {
        const reply = JSON.parse(line) as Reply
        if (reply.state === 'ready') done({ socket, port: reply.port })
        if (reply.state === 'failed') fail(new Error(reply.message))
      }
    })
    socket.on('error', () => {})
    socket.once('close', () => {
      clearTimeout(stranger)
      done(undefined)
    })
    socket.write(`${key}\n`)
  })
}
