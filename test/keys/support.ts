import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { pino } from 'pino'
import { expect, vi } from 'vitest'
import { createBell } from '../../src/bell.ts'
import type { Config } from '../../src/config/config.ts'
import { parseConfig } from '../../src/config/parse.ts'
import { deriveServerKeys, type KeyList } from '../../src/config/secrets.ts'
import { connect } from '../../src/db/connect.ts'
import type { Db } from '../../src/db/schema.ts'
import type { KeyService } from '../../src/keys/keys.ts'
import { startKeys } from '../../src/keys/keys.ts'
import { lockKeys } from '../../src/keys/queries.ts'
import { keyRevoker } from '../../src/revocations/append.ts'
import { cloneDatabase } from '../support/postgres.ts'

export const MINUTE = 60_000
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

const log = pino({ level: 'silent' })

export function testConfig(env: Record<string, string> = {}): Config {
  return parseConfig({
    DATABASE_URL: 'postgres://localhost/none',
    CLAVIGER_SECRET: randomBytes(32).toString('base64'),
    ISSUER: 'https://auth.example.test',
    ...env,
  }).config
}

/** A database of one's own, a clock that travels, and key services on both. Everything ends with the scope. */
export async function keyLab(env: Record<string, string> = {}) {
  const database = await cloneDatabase()
  const { db } = connect({ url: database.url, size: 6 })
  let now = new Date('2030-01-01T00:00:00Z').getTime()
  const services: KeyService[] = []
  const revokeKey = keyRevoker({ revocationBell: createBell() })
  const serverKeys: KeyList = [deriveServerKeys(randomBytes(32))]
  const mayActivate = async (_kid: string) => true
  const hooks = { revokeKey, mayActivate }
  const deps = { db, clock: () => new Date(now), config: testConfig(env), serverKeys, log, ...hooks }
  return {
    deps,
    db,
    url: database.url,
    ownerUrl: database.ownerUrl,
    now: () => new Date(now),
    travel: (milliseconds: number) => void (now += milliseconds),
    /** One more replica. */
    start: async (changed: Partial<typeof deps> = {}): Promise<KeyService> => {
      const service = await startKeys({ ...deps, ...changed })
      services.push(service)
      return service
    },
    /** Lets work begin while another replica holds the lock, and go on only when so many wait for it. */
    together: async <T>(work: (() => Promise<T>)[]): Promise<T[]> => {
      let results: Promise<T[]> | undefined
      await db.transaction().execute(async (tx) => {
        await lockKeys(tx)
        results = Promise.all(work.map((start) => start()))
        await vi.waitFor(async () => expect(await waiting(db)).toBe(work.length), { timeout: 1900, interval: 20 })
      })
      return (await results) ?? []
    },
    keys: () => db.selectFrom('signing_keys').selectAll().orderBy('created_at').execute(),
    events: async () =>
      (await db.selectFrom('audit').select(['type', 'actor']).orderBy('seq').execute()).map(
        ({ type, actor }) => `${type} by ${actor}`,
      ),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(services.map((service) => service.stop()))
      await db.destroy()
      await database.drop()
    },
  }
}

async function waiting(db: Db): Promise<number> {
  const { rows } = await sql<{ pid: number }>`
    SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()`.execute(db)
  return rows.length
}

export interface Jwks {
  keys: Record<string, string>[]
}

export function publishedBy({ keyring }: Pick<KeyService, 'keyring'>): Jwks {
  return JSON.parse(keyring.jwks().body.toString()) as Jwks
}

export function kidsOf(service: Pick<KeyService, 'keyring'>): (string | undefined)[] {
  return publishedBy(service).keys.map(({ kid }) => kid)
}
