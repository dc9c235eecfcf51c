import { generateKeyPair, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { readNodes, urlsOf } from '../dev/postgres/citus.ts'
import { makeEphemeralHome } from '../dev/postgres/ephemeral.ts'
import { openPostgres } from '../dev/postgres.ts'
import { atOnce } from './support/at-once.ts'
import { CANARY_FOLDER, searchFolder } from './support/canary.ts'
import { query } from './support/postgres.ts'
import { inspectRun } from './support/statements/run.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Of a PostgreSQL in which tests may make databases. */
    databaseUrl: string
    /** Starts the names of the databases of this run: a server given by TEST_DATABASE_URL may serve several runs. */
    databasePrefix: string
    /** Whether that is the coordinator of a Citus cluster, and every database of a test is distributed. */
    citus: boolean
    /** RSA keys, as PEM. */
    signingKeys: string[]
  }
}

/**
 * Around the whole run: a PostgreSQL for it, and at its end the inspection of the statements that it sent and the search for secrets
 * that it left at rest.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'claviger-canary-'))
  process.env[CANARY_FOLDER] = folder
  process.env.TEST_LOG_FILE = join(folder, 'log')
  project.provide('signingKeys', await makeSigningKeys())
  const { url, databasePrefix, close } = await providePostgres(project)
  return async () => {
    const faults: unknown[] = []
    const steps = [
      async () => console.log(await inspectRun(folder, url, databasePrefix)),
      close,
      async () => reportSearch(folder),
      () => rm(folder, { recursive: true, force: true }),
    ]
    for (const step of steps) {
      try {
        await step()
      } catch (error) {
        faults.push(error)
      }
    }
    if (faults.length === 0) return
    // Vitest reports an error of a teardown but forgives it.
    process.exitCode = 1
    throw faults.length === 1 ? faults[0] : new AggregateError(faults, faults.map(String).join('\n'))
  }
}

function reportSearch(folder: string): void {
  const { logBytes, dumpBytes, secrets } = searchFolder(folder)
  console.log(
    `no secret at rest: ${secrets} passwords and server secrets, and every form of token and key, were looked for in ${logBytes} bytes of log and ${dumpBytes} of dumps`,
  )
}

/** More than servers that one test has at a time, each with a database of its own: none accepts what another has signed. */
const KEYS = 6

async function makeSigningKeys(): Promise<string[]> {
  const make = async () => (await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })).privateKey
  const keys = await atOnce(KEYS, make)
  return keys.map((key) => key.export({ format: 'pem', type: 'pkcs8' }))
}

interface Provided {
  url: string
  databasePrefix: string
  close(): Promise<void>
}

/** One PostgreSQL for the whole run: TEST_DATABASE_URL if set, else an embedded one of version TEST_POSTGRES. */
async function providePostgres(project: TestProject): Promise<Provided> {
  const databasePrefix = `claviger_test_${randomBytes(4).toString('hex')}`
  project.provide('databasePrefix', databasePrefix)
  const given = process.env.TEST_DATABASE_URL
  const machines = given ? await readNodes(given) : []
  project.provide('citus', machines.length > 0)
  if (given) {
    project.provide('databaseUrl', given)
    return { url: given, databasePrefix, close: () => dropDatabasesOf(given, databasePrefix) }
  }
  const version = process.env.TEST_POSTGRES ?? '18'
  if (version !== '15' && version !== '18') throw new Error('TEST_POSTGRES must be 15 or 18')
  const postgres = await openPostgres({
    directory: await makeEphemeralHome(),
    version,
    ephemeral: true,
  })
  project.provide('databaseUrl', postgres.url)
  return { url: postgres.url, databasePrefix, close: postgres.close }
}

/** Removes what a run has left on a server that outlives it. */
async function dropDatabasesOf(server: string, prefix: string): Promise<void> {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  const { rows } = await client.query<{ datname: string }>(
    'SELECT datname FROM pg_database WHERE starts_with(datname, $1)',
    [prefix],
  )
  for (const url of urlsOf(await readNodes(server), server)) {
    for (const { datname } of rows) await query(url, `DROP DATABASE IF EXISTS ${datname} WITH (FORCE)`)
  }
  const roles = await client.query<{ rolname: string }>('SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)', [
    prefix,
  ])
  for (const { rolname } of roles.rows) await client.query(`DROP ROLE ${rolname}`)
  await client.end()
}
