import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
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
  if (existsSync(join(root, '.env'))) process.loadEnvFile(join(root, '.env'))
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
