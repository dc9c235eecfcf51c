import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { createOnce } from './create-once.ts'
import { openPostgres } from './postgres.ts'

const root = join(import.meta.dirname, '..')

/**
 * Fills in what production insists on and development can make for itself: a database and a secret, both kept under
 * .claviger/ between runs. What is set already stays, and in production nothing is filled in.
 * @returns what ends the use of the database.
 */
export async function fillEnvironment(
  env: NodeJS.ProcessEnv,
  say: (line: string) => void,
): Promise<() => Promise<void>> {
  readEnvFile(join(root, '.env'), env)
  if (env.NODE_ENV === 'production') return async () => {}
  const state = join(root, '.claviger')
  await mkdir(state, { recursive: true })
  if (!env.CLAVIGER_SECRET && !env.CLAVIGER_SECRET_FILE) {
    env.CLAVIGER_SECRET = await createOnce(join(state, 'secret'), () => randomBytes(32).toString('base64'))
  }
  if (env.DATABASE_URL || env.DATABASE_URL_FILE) return async () => {}
  say('starting PostgreSQL (data in .claviger/postgres)')
  const postgres = await openPostgres({ directory: join(state, 'postgres') })
  env.DATABASE_URL = postgres.url
  return postgres.close
}

/** As `node --env-file` does it, but a byte order mark, with which some editors begin a file, is no part of the first name. */
export function readEnvFile(path: string, env: NodeJS.ProcessEnv): void {
  if (!existsSync(path)) return
  const stated = parseEnv(readFileSync(path, 'utf8').replace(/^\ufeff/, ''))
  for (const [name, value] of Object.entries(stated)) env[name] ??= value
}
