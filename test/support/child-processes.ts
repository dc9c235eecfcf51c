import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** Linux. What can only be read there says so in its title, and is skipped elsewhere. */
export const hasProc = existsSync('/proc/self/status')

/** Process ids of the running children of `parent` that execute `file`. */
export function childrenOf(parent: number, file: string): number[] {
  return (hasProc ? fromProc() : fromPs())
    .filter((each) => each.parent === parent && each.command.includes(file))
    .map(({ pid }) => pid)
}

interface Entry {
  pid: number
  parent: number
  command: string
}

function fromProc(): Entry[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const [, parent] = /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
        return [{ pid: Number(pid), parent: Number(parent), command: readFileSync(`/proc/${pid}/cmdline`, 'utf8') }]
      } catch {
        return [] // it has ended meanwhile
      }
    })
}

/** POSIX; containers often lack it. */
function fromPs(): Entry[] {
  const text = execFileSync('ps', ['-A', '-ww', '-o', 'pid=', '-o', 'ppid=', '-o', 'args='], { encoding: 'utf8' })
  return text.split('\n').map((line) => {
    const [, pid, parent, command = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? []
    return { pid: Number(pid), parent: Number(parent), command }
  })
}
