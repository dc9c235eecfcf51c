import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'

export interface Machine {
  cores: number
  model: string
  memoryGib: number
  kernel: string
  node: string
  postgres: string
}

export function describeMachine(postgres: string): Machine {
  return {
    cores: availableParallelism(),
    model: `${cpus()[0]?.model.trim() ?? 'unknown'}${hasIfma() ? ' (AVX512-IFMA)' : ''}`,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.versions.node,
    postgres,
  }
}

/** With these instructions OpenSSL signs about twice as fast. */
function hasIfma(): boolean {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8').includes('avx512ifma')
  } catch {
    return false
  }
}

export const inWords = (m: Machine): string =>
  `${m.cores} × ${m.model}, ${m.memoryGib} GiB, Linux ${m.kernel}; Node ${m.node}, PostgreSQL ${m.postgres}`
