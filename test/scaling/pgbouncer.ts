import { type Middleman, startMiddleman } from '../support/middleman.ts'

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

/** A PgBouncer before the PostgreSQL of `databaseUrl`. @returns also the URL that goes through it. */
export async function startPgBouncer(
  program: string,
  databaseUrl: string,
  changes: Partial<Record<keyof typeof RECOMMENDED, string>> = {},
): Promise<Middleman & { url: string }> {
  const direct = new URL(databaseUrl)
  const settings = {
    ...RECOMMENDED,
    ...changes,
    listen_addr: '127.0.0.1',
    unix_socket_dir: '',
    auth_type: 'scram-sha-256',
    admin_users: direct.username,
  }
  const middleman = await startMiddleman({
    program,
    files: ({ port, folder }) => ({
      'users.txt': `"${direct.username}" "${decodeURIComponent(direct.password)}"\n`,
      'pgbouncer.ini': [
        '[databases]',
        `* = host=${direct.hostname} port=${direct.port}`,
        '[pgbouncer]',
        `listen_port = ${port}`,
        `auth_file = ${folder}/users.txt`,
        ...Object.entries(settings).map(([name, value]) => `${name} = ${value}`),
        '',
      ].join('\n'),
    }),
    args: (folder) => [`${folder}/pgbouncer.ini`],
  })
  const url = new URL(databaseUrl)
  url.host = `127.0.0.1:${middleman.port}`
  return Object.assign(middleman, { url: url.href })
}
