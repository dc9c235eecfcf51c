import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { createOnce } from './create-once.ts'
import { openPostgres } from './postgres.ts'

const root = join(import.meta.dirname, '..')

interface Filled {
  /** Where variables come from that were not set before. */
  sources: Record<string, string>
  /** Releases the database. */
  close(): Promise<void>
}

/**
 * Provides what development can make for itself: a database and a secret, both kept under .claviger/ between runs.
 * Settings that are given are kept, and in production nothing is provided.
 */
export async function fillEnvironment(env: NodeJS.ProcessEnv, say: (line: string) => void): Promise<Filled> {
  const sources = readEnvFile(join(root, '.env'), env)
  const nothingToClose = async () => {}
  if (env.NODE_ENV === 'production') return { sources, close: nothingToClose }
  const state = join(root, '.claviger')
  await mkdir(state, { recursive: true })
  if (!env.CLAVIGER_SECRET && !env.CLAVIGER_SECRET_FILE) {
    env.CLAVIGER_SECRET = await createOnce(join(state, 'secret'), () => randomBytes(32).toString('base64'))
    sources.CLAVIGER_SECRET = '.claviger'
  }
  if (env.DATABASE_URL || env.DATABASE_URL_FILE) return { sources, close: nothingToClose }
  const postgres = await openPostgres({
    directory: join(state, 'postgres'),
    onStart: () => say('starting PostgreSQL (data in .claviger/postgres)'),
  })
  env.DATABASE_URL = postgres.url
  sources.DATABASE_URL = '.claviger'
  return { sources, close: postgres.close }
}

/**
 * Reads a file as `node --env-file` does, but ignores a byte order mark, which some editors write.
 * @returns the names that it set, each with the name of the file.
 */
export function readEnvFile(path: string, env: NodeJS.ProcessEnv): Record<string, string> {
  if (!existsSync(path)) return {}
  const stated = parseEnv(readFileSync(path, 'utf8').replace(/^\ufeff/, ''))
  const taken = Object.entries(stated).filter(([name]) => env[name] === undefined)
  for (const [name, value] of taken) env[name] = value
  return Object.fromEntries(taken.map(([name]) => [name, '.env']))
}
