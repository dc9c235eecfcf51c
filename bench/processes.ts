import { readdir, readFile } from 'node:fs/promises'

/** Of /proc/<pid>/stat: proc(5) counts fields from 1, and the name in brackets may hold spaces. */
interface Ticks {
  own: number
  /** Of children that have exited and were waited for. */
  reaped: number
  parent: number
}

/** USER_HZ, which Linux fixes at 100 for programs whatever the kernel's own. */
const MS_PER_TICK = 10

async function ticksOf(path: string): Promise<Ticks | undefined> {
  const text = await readFile(`${path}/stat`, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15)
  return { own: utime + stime, reaped: cutime + cstime, parent: fields[1] ?? 0 }
}

/**
 * CPU time of a process and its children with all their threads, in milliseconds, user and system; those that have exited
 * included: their time passes to the parent when it notices. Read again if one exited meanwhile, which would else be counted twice or not at all.
 */
export async function cpuOfFamily(pid: number): Promise<number> {
  for (let tries = 0; tries < 1000; tries++) {
    const before = await ticksOf(`/proc/${pid}`)
    if (!before) return 0
    const children = await childrenOf(pid)
    const each = await Promise.all(children.map((child) => ticksOf(`/proc/${child}`)))
    const after = await ticksOf(`/proc/${pid}`)
    if (!after) return 0
    if (each.includes(undefined) || before.reaped !== after.reaped) continue
    const living = each.reduce((sum, ticks) => sum + (ticks?.own ?? 0) + (ticks?.reaped ?? 0), 0)
    return (after.own + after.reaped + living) * MS_PER_TICK
  }
  throw new Error(`the children of process ${pid} come and go all the time`)
}

/** CPU milliseconds per name of thread: Node's main thread, libuv's pool, V8's helpers. */
export async function cpuByThread(pid: number): Promise<Map<string, number>> {
  const sums = new Map<string, number>()
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const path = `/proc/${pid}/task/${thread}`
    const ticks = await ticksOf(path)
    const name = thread === String(pid) ? 'main' : (await readFile(`${path}/comm`, 'utf8').catch(() => '')).trim()
    if (ticks) sums.set(name, (sums.get(name) ?? 0) + ticks.own * MS_PER_TICK)
  }
  return sums
}

/** Name of the program that a process runs, at most 15 characters. @returns undefined if there is no such process. */
export async function programOf(pid: number): Promise<string | undefined> {
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => undefined))?.trim()
}

export async function parentOf(pid: number): Promise<number> {
  return (await ticksOf(`/proc/${pid}`))?.parent ?? 0
}

async function childrenOf(pid: number): Promise<string[]> {
  return (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ').filter(Boolean)
}

/** Resident memory of a process and its children in MiB. What they share counts for each. */
export async function memoryOf(pid: number): Promise<number> {
  const all = [String(pid), ...(await childrenOf(pid))]
  const each = await Promise.all(all.map((one) => readFile(`/proc/${one}/status`, 'utf8')))
  return each.reduce((sum, status) => sum + Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024, 0)
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
