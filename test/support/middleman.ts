import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { answers } from './ports.ts'
import { freePort } from './server.ts'

/** Where packages put servers, though it is not on every user's PATH; and what test/deploy has of Python's registry. */
const PLACES = [
  ...(process.env.PATH ?? '').split(delimiter),
  '/usr/sbin',
  '/usr/local/sbin',
  fileURLToPath(new URL('../deploy/.work/bin', import.meta.url)),
]

/** The full path of an installed program. */
export function findProgram(name: string): string | undefined {
  return PLACES.map((place) => join(place, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Major and minor number of what `--version` or `-v` prints first, or undefined if there is no such program. */
export async function versionOf(program: string, flag: string): Promise<[number, number] | undefined> {
  if (!program) return undefined
  const { stdout } = await promisify(execFile)(program, [flag])
  const [, major, minor] = /(\d+)\.(\d+)/.exec(stdout) ?? []
  return [Number(major), Number(minor)]
}

const setpriv = findProgram('setpriv')

export interface Middleman {
  port: number
  folder: string
  pid: number
  output(): string
  /** As a power cut would. */
  kill(): Promise<void>
  /** The same again, on the same port. */
  restart(): Promise<void>
  /** Ends it and removes its files. */
  close(): Promise<void>
}

/**
 * A proxy of somebody else's in the foreground, with its files in a folder of its own, once its port is open. Neither
 * PgBouncer nor a careful operator runs one as root: then it gets the ids of nobody, unless it must write into its folder.
 */
export async function startMiddleman(options: {
  program: string
  files: (place: { port: number; folder: string }) => Record<string, string>
  args: (folder: string, port: number) => string[]
  writes?: boolean
}): Promise<Middleman> {
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'claviger-scaling-'))
  await chmod(folder, 0o755)
  for (const [name, text] of Object.entries(options.files({ port, folder }))) await writeFile(join(folder, name), text)
  const nobody = process.getuid?.() === 0 && !options.writes ? { uid: 65534, gid: 65534 } : {}
  let text = ''
  let child: ChildProcess
  const start = async () => {
    // Of a test that hangs, the process is killed; what it started goes with it.
    const mortal = setpriv ? [setpriv, '--pdeathsig', 'KILL'] : []
    const [command = '', ...args] = [...mortal, options.program, ...options.args(folder, port)]
    // Caddy and others keep things at home.
    const env = { ...process.env, HOME: folder }
    child = spawn(command, args, { ...nobody, env, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (text += chunk.toString()))
    for (let waited = 0; !(await answers(port)); waited += 10) {
      if (child.exitCode !== null || waited > 5000) throw new Error(`${options.program} did not start:\n${text}`)
      await sleep(10)
    }
  }
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  try {
    await start()
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
  return {
    port,
    folder,
    get pid() {
      return child.pid as number
    },
    output: () => text,
    kill,
    restart: start,
    close: async () => {
      await kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
