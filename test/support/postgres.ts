import { createHash, randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { makeCluster, readNodes, urlOf, urlsOf } from '../../dev/postgres/citus.ts'
import { ONE_CONNECTION_PER_MACHINE } from '../../src/db/distribute.ts'
import { migrate } from '../../src/db/migrate.ts'
import { keepDump } from './canary.ts'

export interface TestDatabase extends AsyncDisposable {
  /** As a role that only serves: what runs in a test has the rights that it has in production. */
  url: string
  /** As superuser, for what tests themselves look at and change. */
  ownerUrl: string
  drop(): Promise<void>
}

/** An empty database with every migration applied: a copy of the template. */
export async function cloneDatabase(): Promise<TestDatabase> {
  const server = inject('databaseUrl')
  const template = await createTemplate()
  const name = `${inject('databasePrefix')}_${randomBytes(6).toString('hex')}`
  await administer(`CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY file_copy`)
  // Settings of a database are not copied with it.
  if ((await nodes()).length > 0) await administer(`ALTER DATABASE ${name} SET ${ONE_CONNECTION_PER_MACHINE}`)
  const drop = async () => {
    for (const url of urlsOf(await nodes(), urlOf(server, name))) await keepDump(url)
    await dropDatabase(name)
  }
  const url = as(servingRole(), urlOf(server, name))
  return { url, ownerUrl: urlOf(server, name), drop, [Symbol.asyncDispose]: drop }
}

/** An empty database, for tests of how it is filled; nobody but the superuser has a right in it. */
export async function createDatabase(): Promise<TestDatabase> {
  const server = inject('databaseUrl')
  const name = `${inject('databasePrefix')}_${randomBytes(6).toString('hex')}`
  await administer(`CREATE DATABASE ${name} TEMPLATE template0`)
  const url = urlOf(server, name)
  const drop = () => dropDatabase(name)
  return { url, ownerUrl: url, drop, [Symbol.asyncDispose]: drop }
}

interface Role {
  name: string
  password: string
}

/** The one that has been granted what serving takes, in every copy of the template. Known to all processes of a run. */
function servingRole(): Role {
  const prefix = inject('databasePrefix')
  return { name: `${prefix}_serve`, password: createHash('sha256').update(prefix).digest('hex') }
}

/**
 * A role that may log in and owns nothing, with what `statements` of the superuser give it in that database.
 * @returns its name, and the URL of the database as this role.
 */
export async function createRole(
  { ownerUrl }: TestDatabase,
  ...statements: string[]
): Promise<{ name: string; url: string }> {
  const role = {
    name: `${inject('databasePrefix')}_${randomBytes(6).toString('hex')}`,
    password: randomBytes(12).toString('hex'),
  }
  await withClient(ownerUrl, async (client) => {
    await client.query(`CREATE ROLE ${role.name} LOGIN PASSWORD '${role.password}'`)
    for (const statement of statements) await client.query(statement.replaceAll('$role', role.name))
  })
  return { name: role.name, url: as(role, ownerUrl) }
}

function as({ name, password }: Role, url: string): string {
  return Object.assign(new URL(url), { username: name, password }).href
}

let template: Promise<string> | undefined

/** Migrates the template at the first call of a run, whichever test process makes it. @returns the template's name. */
export function createTemplate(): Promise<string> {
  template ??= makeTemplate(inject('databaseUrl'), `${inject('databasePrefix')}_template`)
  return template
}

async function makeTemplate(server: string, name: string): Promise<string> {
  await withClient(server, async (client) => {
    // Test processes start together: the first one migrates, the others wait here.
    await client.query(`SELECT pg_advisory_lock(hashtext($1))`, [name])
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name])
    if (rowCount) return
    // Under its name only when complete, so that a failed migration fails for every file with its own error.
    const draft = `${name}_draft`
    await administer(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`)
    await administer(`CREATE DATABASE ${draft} TEMPLATE template0`)
    const role = servingRole()
    await client.query(`CREATE ROLE ${role.name} LOGIN PASSWORD '${role.password}'`)
    const machines = await nodes()
    if (machines.length > 0) await makeCluster(machines, server, draft, { grantTo: role.name, shards: 4 })
    else await migrate(urlOf(server, draft), { grantTo: role.name })
    // Nobody can rename or copy a database that somebody is connected to, and Citus has a process of its own in each.
    await close(draft)
    await administer(`ALTER DATABASE ${draft} RENAME TO ${name}`)
  })
  return name
}

let machines: ReturnType<typeof readNodes> | undefined
const nodes = () => (machines ??= readNodes(inject('databaseUrl')))

/** Ends all connections to a database, for good, and the process that Citus has in it, which would come back by itself. */
async function close(name: string): Promise<void> {
  await administer(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`)
  await administer(`SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '${name}'`)
}

async function dropDatabase(name: string): Promise<void> {
  if ((await nodes()).length > 0) await close(name)
  await administer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
}

let administration: pg.Pool[] | undefined

/** On each machine. Two statements for each database, and a new connection costs as much as either. */
async function administer(statement: string): Promise<void> {
  administration ??= urlsOf(await nodes(), inject('databaseUrl')).map(
    (connectionString) => new pg.Pool({ connectionString, allowExitOnIdle: true, max: 4 }),
  )
  await Promise.all(administration.map((pool) => pool.query(statement)))
}

/** One statement on a connection of its own. */
export function query<Row extends pg.QueryResultRow = pg.QueryResultRow>(url: string, text: string): Promise<Row[]> {
  return withClient(url, async (client) => (await client.query<Row>(text)).rows)
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}
