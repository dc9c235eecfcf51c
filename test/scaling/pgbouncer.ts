import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findProgram, type Middleman, startMiddleman, versionOf } from '../support/middleman.ts'
import { query } from '../support/postgres.ts'

/** Connections to PostgreSQL, far fewer than the servers' pools together hold. */
export const POOL_SIZE = 4

/** What docs/scaling.md recommends; a test changes one line of it to show what that line is for. */
const RECOMMENDED = {
  pool_mode: 'transaction',
  max_prepared_statements: '200',
  ignore_startup_parameters: 'statement_timeout,lock_timeout,idle_in_transaction_session_timeout',
  default_pool_size: String(POOL_SIZE),
  max_client_conn: '1000',
  query_wait_timeout: '3',
  server_login_retry: '1',
}

/** What an installed PgBouncer must be to be tested. */
export async function findPgBouncer(): Promise<{ program: string; usable: boolean }> {
  const program = findProgram('pgbouncer') ?? ''
  const [major, minor] = (await versionOf(program, '--version')) ?? [0, 0]
  const usable = major > 1 || minor >= 21
  if (!usable) {
    console.warn(
      `skipped: ${program ? `PgBouncer ${major}.${minor} is older than 1.21` : 'there is no pgbouncer on this machine'}`,
    )
  }
  return { program, usable }
}

export interface PgBouncer extends Middleman {
  /** The database through it. */
  url: string
  /** A command on its console, as `PAUSE`. */
  order(command: string): Promise<unknown>
  /** Writes another port of PostgreSQL into its file and has it read. */
  lead(port: number): Promise<void>
}

/** A PgBouncer before the PostgreSQL of `databaseUrl`. */
export async function startPgBouncer(
  program: string,
  databaseUrl: string,
  changes: Partial<Record<keyof typeof RECOMMENDED, string>> = {},
): Promise<PgBouncer> {
  const direct = new URL(databaseUrl)
  const settings = {
    ...RECOMMENDED,
    ...changes,
    listen_addr: '127.0.0.1',
    unix_socket_dir: '',
    auth_type: 'scram-sha-256',
    admin_users: direct.username,
  }
  const iniOf = ({ port, folder }: { port: number; folder: string }, upstream: string) =>
    [
      '[databases]',
      `* = host=${direct.hostname} port=${upstream}`,
      '[pgbouncer]',
      `listen_port = ${port}`,
      `auth_file = ${folder}/users.txt`,
      ...Object.entries(settings).map(([name, value]) => `${name} = ${value}`),
      '',
    ].join('\n')
  const middleman = await startMiddleman({
    program,
    files: (place) => ({
      'users.txt': `"${direct.username}" "${decodeURIComponent(direct.password)}"\n`,
      'pgbouncer.ini': iniOf(place, direct.port),
    }),
    args: (folder) => [`${folder}/pgbouncer.ini`],
  })
  const url = new URL(databaseUrl)
  url.host = `127.0.0.1:${middleman.port}`
  const order = (command: string) => query(Object.assign(new URL(url), { pathname: '/pgbouncer' }).href, command)
  return Object.assign(middleman, {
    url: url.href,
    order,
    lead: async (port: number) => {
      await writeFile(join(middleman.folder, 'pgbouncer.ini'), iniOf(middleman, String(port)))
      await order('RELOAD')
    },
  })
}
