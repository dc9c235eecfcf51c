import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { within } from './within.ts'

/** Every process that a run started, so that none is left when it ends, in whatever way. */
const children = new Set<ChildProcess>()

export function start(args: string[], options: SpawnOptions): ChildProcess {
  const child = spawn(process.execPath, args, options)
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

/** The signal lets a server finish, or write its profile; without one it ends at once. */
export async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill(signal)
  await within(30, `the end of process ${child.pid} after ${signal}`, exited)
}

export async function endAll(): Promise<void> {
  await Promise.all([...children].map((child) => end(child)))
}

/** Seconds that a program may take to its end, or a database to answer: longer than any of ours does. */
export const LONGEST = 600

/** Runs one of our programs to its end. @returns the JSON that it printed. */
export async function runBare<Result>(file: string, args: string[], env: Record<string, string> = {}): Promise<Result> {
  const child = start([file, ...args], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...plainEnvironment(), ...env } })
  let text = ''
  child.stdout?.on('data', (chunk) => {
    text += chunk
  })
  const [code] = await within(LONGEST, `the end of ${file}`, once(child, 'close'))
  if (code !== 0) throw new Error(`${file} ended with ${code}`)
  return JSON.parse(text) as Result
}

/** Without what was set for our own process: the size of libuv's pool above all, which the server finds by itself. */
export function plainEnvironment(): Record<string, string> {
  return { PATH: process.env.PATH ?? '' }
}
