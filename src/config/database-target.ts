import { userInfo } from 'node:os'
import { certificateFaults } from './database-certificates.ts'
import { checkHost, readPort, type StatedDatabase } from './database-url.ts'

/** Where the database is and how it is reached. Holds neither user nor password: it may be printed. */
export interface DatabaseTarget {
  /** A name, an IP address without brackets, or the folder of a socket. */
  host: string
  port: number
  /** If undefined, it is named like the user. */
  database: string | undefined
  /** Whether TLS proves that it is the right server. Otherwise there is no TLS at all. */
  verified: boolean
}

export interface CompleteDatabase {
  url: string
  target: DatabaseTarget
}

type Env = Readonly<Record<string, string | undefined>>

/**
 * Completes a URL from the variables that libpq and the driver would use, and returns one that leaves nothing open, so
 * that the driver uses exactly what was checked.
 * @throws Error naming everything that is wrong.
 */
export function completeDatabase(stated: StatedDatabase, env: Env): CompleteDatabase {
  const { password, parameters } = stated
  const host = stated.host ?? given(env, 'PGHOST', checkHost)
  // libpq would go to its default socket, the driver to localhost.
  if (host === undefined) throw new Error('names no host: write localhost, or ?host=/run/postgresql for a socket')
  const port = stated.port ?? given(env, 'PGPORT', readPort) ?? 5432
  const user = stated.user ?? (env.PGUSER || nameOfProcess())
  const database = stated.database ?? (env.PGDATABASE || undefined)
  const onSocket = host.startsWith('/')
  const mode = parameters.sslmode ?? ((!onSocket && env.PGSSLMODE) || 'disable')

  const faults = [...tlsFaults(mode, onSocket, parameters), ...certificateFaults(parameters)]
  if (faults.length > 0) throw new Error(faults.join('; '))

  const { sslrootcert, ...others } = parameters
  const query = {
    ...others,
    ...(onSocket ? { host, port: String(port) } : {}),
    sslmode: mode,
    // The driver does not know `system`, but uses the certificates of the system if no file is named.
    ...(sslrootcert && sslrootcert !== 'system' ? { sslrootcert } : {}),
  }
  const credentials = [user, password].map((part) => (part === undefined ? '' : encodeURIComponent(part)))
  const address = onSocket ? '' : `${host.includes(':') ? `[${host}]` : host}:${port}`
  return {
    url: `postgres://${credentials.join(':')}@${address}/${encodeURI(database ?? '')}?${encodeQuery(query)}`,
    target: { host, port, database, verified: mode === 'verify-full' },
  }
}

/** For messages: `host:port/database`. */
export function describeTarget({ host, port, database }: DatabaseTarget): string {
  if (host.startsWith('/')) return database === undefined ? host : `${host} ${database}`
  const address = host.includes(':') ? `[${host}]` : host
  return `${address}:${port}${database === undefined ? '' : `/${database}`}`
}

function tlsFaults(mode: string, onSocket: boolean, parameters: StatedDatabase['parameters']): string[] {
  const faults: string[] = []
  const { sslrootcert, sslcert, sslkey, sslnegotiation } = parameters
  if (mode !== 'verify-full' && mode !== 'disable') {
    const subject = parameters.sslmode === undefined ? 'leaves it to PGSSLMODE, which is an' : 'has an'
    faults.push(
      `${subject} sslmode other than verify-full and disable: those in between verify different things, or nothing, depending on who reads them`,
    )
  } else if (mode === 'verify-full' && onSocket) {
    faults.push('has sslmode=verify-full for a socket, where there is no TLS: leave it out')
  } else if (mode === 'disable' && (sslrootcert || sslcert || sslkey || sslnegotiation === 'direct')) {
    faults.push('has parameters of TLS without sslmode=verify-full')
  }
  if (sslnegotiation !== undefined && !['postgres', 'direct'].includes(sslnegotiation)) {
    faults.push('has an sslnegotiation that is neither postgres nor direct')
  }
  return faults
}

function given<T>(env: Env, name: string, rule: (value: string) => T): T | undefined {
  const value = env[name]
  if (!value) return undefined
  try {
    return rule(value)
  } catch (error) {
    throw new Error(`leaves it to ${name}, which ${(error as Error).message}`, { cause: error })
  }
}

/** The default of libpq. The driver uses the variable USER, which services often lack. */
function nameOfProcess(): string | undefined {
  try {
    return userInfo().username
  } catch {
    return undefined
  }
}

function encodeQuery(parameters: Record<string, string>): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&')
}
