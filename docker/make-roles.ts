// Creates the roles of docker-compose.yml and their database, as the superuser. Runs at every start: what exists is
// kept, and each role gets the password in its URL, so that a URL with an older password no longer works. usage:
// make-roles.ts <file with the URL of the owner> [<file with the URL of the role that serves>]
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

const SUPERUSER_PASSWORD_FILE = '/var/lib/claviger/database/superuser-password'
const WAIT_MS = 60_000

const [owner, ...others] = process.argv.slice(2).map((file) => new URL(readFileSync(file, 'utf8')))
if (!owner) throw new Error('usage: make-roles.ts <file with the URL of the owner> [<of the role that serves>]')

const client = await connect(owner)
// Two containers that start together would alter the same role, and PostgreSQL would refuse one. Released with the
// connection.
await client.query('SELECT pg_advisory_lock(3853314791062309107)')
for (const { username, password } of [owner, ...others]) await makeRole(username, password)
await makeDatabase(owner.pathname.slice(1), owner.username)
await client.end()

async function makeRole(role: string, password: string): Promise<void> {
  const name = client.escapeIdentifier(role)
  if (!(await exists('SELECT FROM pg_roles WHERE rolname = $1', role))) {
    // Not a superuser, so that not even injected SQL could read files or run programs.
    await client.query(`CREATE ROLE ${name} LOGIN`)
    console.log(`made the role ${role}`)
  }
  await client.query(`ALTER ROLE ${name} PASSWORD ${client.escapeLiteral(decodeURIComponent(password))}`)
}

async function makeDatabase(database: string, role: string): Promise<void> {
  const name = client.escapeIdentifier(database)
  if (!(await exists('SELECT FROM pg_database WHERE datname = $1', database))) {
    await client.query(`CREATE DATABASE ${name} OWNER ${client.escapeIdentifier(role)}`)
    console.log(`made the database ${database}`)
  }
  // The roles of other databases may not connect, and the role that serves may not create temporary tables.
  await client.query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`)
  for (const { username } of others) {
    await client.query(`GRANT CONNECT ON DATABASE ${name} TO ${client.escapeIdentifier(username)}`)
  }
}

async function exists(question: string, value: string): Promise<boolean> {
  return (await client.query(question, [value])).rowCount === 1
}

/** Waits for the database, which may come up last after a restart of all containers. */
async function connect({ hostname, port }: URL): Promise<pg.Client> {
  const giveUpAt = performance.now() + WAIT_MS
  const password = readFileSync(SUPERUSER_PASSWORD_FILE, 'utf8')
  for (;;) {
    const attempt = new pg.Client({
      host: hostname,
      port: Number(port),
      user: 'postgres',
      database: 'postgres',
      password,
    })
    try {
      await attempt.connect()
      return attempt
    } catch (error) {
      if ((error as { code?: string }).code === '28P01') refuse()
      if (performance.now() > giveUpAt) throw error
      await sleep(500)
    }
  }
}

function refuse(): never {
  const file = '/docker-entrypoint-initdb.d/superuser-password'
  console.error(
    `The password of the superuser is not the one in the volume database-secrets, which was lost and made anew. Tell it to the
database, which takes it from inside its container, and start again:
  docker compose exec postgres sh -c "psql -U postgres -c \\"ALTER ROLE postgres PASSWORD '\\$(cat ${file})'\\""`,
  )
  process.exit(1)
}
