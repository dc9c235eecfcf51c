import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import argon2 from 'argon2'
import { runBare } from './children.ts'

interface Ceiling {
  count: number
  seconds: number
  cpuMs: number
}

const cores = availableParallelism()
const bare = (file: string): string => join(import.meta.dirname, 'bare', file)

/** All cores busy with signatures, as they are under the refresh load. */
export const rsa = (seconds: number): Promise<Ceiling> =>
  runBare<Ceiling>(bare('rsa.ts'), [String(seconds)], { UV_THREADPOOL_SIZE: String(3 * cores + 2) })

/** As many at a time as the server computes. */
export async function verifications(seconds: number): Promise<Ceiling> {
  const password = 'correct horse battery staple 9'
  const phc = await argon2.hash(password, { type: argon2.argon2id, memoryCost: 19456, timeCost: 2, parallelism: 1 })
  return await runBare<Ceiling>(bare('argon2.ts'), [String(seconds), String(cores), phc, password], {
    UV_THREADPOOL_SIZE: String(cores),
  })
}

/** CPU milliseconds of one, over several measurements: before, between and after what they are compared with. */
export function costOf(ceilings: Ceiling[]): number {
  const sum = (read: (ceiling: Ceiling) => number): number => ceilings.reduce((total, each) => total + read(each), 0)
  return sum(({ cpuMs }) => cpuMs) / sum(({ count }) => count)
}
