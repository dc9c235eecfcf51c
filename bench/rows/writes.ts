import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClients } from '../../src/clients/clients.ts'
import { connect } from '../../src/db/connect.ts'
import { rotateThoseCurrent } from '../../src/sessions/refresh/rotation-queries.ts'
import { authenticateToken, hashToken, mintSuccessor } from '../../src/tokens/refresh.ts'
import type { Database } from '../cluster.ts'
import type { Line } from '../line.ts'
import { type Outcome, sumFaults } from '../load.ts'
import { type Stage, warm } from '../stage.ts'

/** What refreshes leave in the write-ahead log and in the table. */
export async function writes(stage: Stage): Promise<Line[]> {
  const families = 10_000
  const database = await stage.prepare({ users: 1000, families })
  const log = await logPerRefresh(stage, database)

  const { rotations } = stage.options
  const tokens = await stage.chains(database, families)
  const before = await sizeOf(database)
  const updatesBefore = await updatesOf(database)
  await rotate(stage, database, tokens, rotations)
  const growth = (await sizeOf(database)) / before
  const updates = await updatesOf(database)
  return [
    log,
    {
      what: 'HOT share of the updates',
      figure: (100 * (updates.hot - updatesBefore.hot)) / (updates.all - updatesBefore.all),
      unit: '%',
    },
    {
      what: `table and indexes after ${rotations / 1e6} million refreshes ÷ before`,
      against: `${families} families, ${(before / 2 ** 20).toFixed(1)} MiB`,
      figure: growth,
      unit: '×',
      target: { atMost: 1.3 },
    },
  ]
}

async function logPerRefresh(stage: Stage, database: Database): Promise<Line> {
  stage.say('write-ahead log')
  const server = await stage.start(database)
  const driver = await stage.drive(await stage.chains(database, 1000))
  await database.query('CHECKPOINT')
  await warm(driver, server)
  const position = async (): Promise<number> => {
    const [row] = await database.query<{ at: string }>(`SELECT pg_current_wal_insert_lsn() - '0/0' AS at`)
    return Number(row?.at)
  }
  const start = await position()
  const slices: { bytes: number; outcome: Outcome }[] = []
  for (let slice = 0; slice < 5; slice++) {
    const before = await position()
    const outcome = await driver.run(
      server,
      { kind: 'refresh' },
      { connections: 32, seconds: stage.options.seconds / 10 },
    )
    slices.push({ bytes: ((await position()) - before) / outcome.done, outcome })
  }
  // The median: autovacuum, which may pass by, writes in bursts.
  const figure = slices.map(({ bytes }) => bytes).toSorted((a, b) => a - b)[2] ?? Number.NaN
  const faults = sumFaults(...slices.map(({ outcome }) => outcome))
  const refreshes = slices.reduce((sum, { outcome }) => sum + outcome.done, 0)
  const against = await recordsBetween(database, start, await position(), refreshes)
  await server.stop()
  driver.stop()
  return { what: 'write-ahead log per refresh, warm', figure, unit: 'B', against, target: { atMost: 300 }, faults }
}

/** Which records, in bytes per refresh, without what aligns them and the heads of the log's pages. */
async function recordsBetween(database: Database, from: number, to: number, refreshes: number): Promise<string> {
  await database.query('CREATE EXTENSION IF NOT EXISTS pg_walinspect')
  const records = await database.query<{ type: string; bytes: number }>(
    `SELECT split_part("resource_manager/record_type", '/', 2) AS type, combined_size::float8 / $3 AS bytes
      FROM pg_get_wal_stats('0/0'::pg_lsn + $1::numeric, '0/0'::pg_lsn + $2::numeric, true)
      WHERE combined_size >= $3 ORDER BY combined_size DESC`,
    [from, to, refreshes],
  )
  return records.map(({ type, bytes }) => `${type} ${bytes.toFixed(0)}`).join(', ')
}

/** The server's own statement, without HTTP and signature: a million refreshes would else take a quarter of an hour. */
async function rotate(stage: Stage, database: Database, tokens: string[], rotations: number): Promise<void> {
  const { db } = connect({ url: database.url, size: 10 })
  const { clients } = createClients({
    ISSUER: stage.issuer,
    ALLOWED_ORIGINS: [],
    localhostPages: false,
    NATIVE_ORIGINS: [],
    AUDIENCE: ['bench'],
    SCOPES: [],
    SESSION_IDLE_SECONDS: 3600,
    SESSION_MAX_SECONDS: 3600,
    REMEMBER_IDLE_SECONDS: 3600,
    REMEMBER_MAX_SECONDS: 3600,
    ACCESS_TOKEN_SECONDS: 600,
  })
  const workers = 10
  let done = 0
  const worker = async (number: number): Promise<void> => {
    for (let index = number; done < rotations; index += workers) {
      // A family is always the same worker's: turns never overlap.
      if (index >= tokens.length) index = number
      const token = authenticateToken(stage.keys, tokens[index] ?? '')
      if (!token) throw new Error('a token that is not ours')
      const salt = randomBytes(16)
      const successor = mintSuccessor(stage.keys[0], token, token.generation + 1, salt)
      const now = new Date()
      const rotated = await rotateThoseCurrent(db, now, { clients, perMinute: 1_000_000, room: () => 1000 }, [
        {
          family: token.family,
          presented: { ...token, keyHash: null, delivery: 'body', clientId: null, proof: null },
          successor: { hash: hashToken(successor), salt },
          arrivedAt: now,
          narrow: { scope: null, audience: null },
        },
      ])
      if (rotated.size === 0) throw new Error('a token was not current')
      tokens[index] = successor
      if (++done % 10_000 === 0) stage.say(`size of the table: ${done} of ${rotations} rotations`)
    }
  }
  await Promise.all(Array.from({ length: workers }, (_, number) => worker(number)))
  await db.destroy()
}

async function updatesOf(database: Database): Promise<{ hot: number; all: number }> {
  // Sessions hand in their counts with a delay; this one has seeded the table.
  await database.query('SELECT pg_stat_force_next_flush()')
  await sleep(1500)
  const [row] = await database.query<{ hot: string; all: string }>(
    `SELECT n_tup_hot_upd AS hot, n_tup_upd AS all FROM pg_stat_user_tables WHERE relname = 'families'`,
  )
  return { hot: Number(row?.hot), all: Number(row?.all) }
}

async function sizeOf(database: Database): Promise<number> {
  const [row] = await database.query<{ size: string }>(`SELECT pg_total_relation_size('families') AS size`)
  return Number(row?.size)
}
