import { userInfo } from 'node:os'
import { certificateFaults } from './database-certificates.ts'
import { DEFAULT_PORT, readHosts, readPorts, type StatedDatabase } from './database-url.ts'

/** Where the database is and how it is reached. Holds neither user nor password: it may be printed. */
export interface DatabaseTarget {
  /** In the order in which they are tried; at least one. */
  hosts: DatabaseHost[]
  /** If undefined, it is named like the user. */
  database: string | undefined
  /** Whether TLS proves that it is the right server. Otherwise there is no TLS at all. */
  verified: boolean
}

export interface DatabaseHost {
  /** A name, an IP address without brackets, or the folder of a socket. */
  host: string
  port: number
}

/** Values of `target_session_attrs`: what a session must be able to do for a host to be used. */
const SESSIONS = ['read-write', 'primary', 'any'] as const
export type TargetSession = (typeof SESSIONS)[number]

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
  const named = stated.hosts ?? given(env, 'PGHOST', readHosts)
  // libpq would go to its default socket, the driver to localhost.
  if (named === undefined) throw new Error('names no host: write localhost, or ?host=/run/postgresql for a socket')
  const hosts = withPorts(named, stated.ports ?? given(env, 'PGPORT', readPorts) ?? [DEFAULT_PORT])
  const user = stated.user ?? (env.PGUSER || nameOfProcess())
  const database = stated.database ?? (env.PGDATABASE || undefined)
  const sockets = named.filter((host) => host.startsWith('/')).length
  const mode = parameters.sslmode ?? ((sockets < named.length && env.PGSSLMODE) || 'disable')
  // A standby is of no use to the server. libpq would take the first host that lets it in.
  const usual = named.length > 1 ? 'read-write' : undefined
  const session = parameters.target_session_attrs ?? (env.PGTARGETSESSIONATTRS || usual)

  const faults = [
    ...sessionFaults(session, parameters),
    ...tlsFaults(mode, sockets > 0, parameters),
    ...certificateFaults(parameters),
  ]
  if (faults.length > 0) throw new Error(faults.join('; '))

  const { sslrootcert, ...others } = parameters
  const [{ host, port }] = hosts as [DatabaseHost]
  const onSocket = hosts.length === 1 && sockets === 1
  const query = {
    ...others,
    ...(onSocket ? { host, port: String(port) } : {}),
    sslmode: mode,
    // The driver does not know `system`, but uses the certificates of the system if no file is named.
    ...(sslrootcert && sslrootcert !== 'system' ? { sslrootcert } : {}),
    ...(session === undefined ? {} : { target_session_attrs: session }),
  }
  const credentials = [user, password].map((part) => (part === undefined ? '' : encodeURIComponent(part)))
  const address = onSocket ? '' : hosts.map((each) => `${inUrl(each.host)}:${each.port}`).join(',')
  return {
    url: `postgres://${credentials.join(':')}@${address}/${encodeURI(database ?? '')}?${encodeQuery(query)}`,
    target: { hosts, database, verified: mode === 'verify-full' },
  }
}

/** Of a complete URL: the same database at each of its hosts, and what a session there must be able to do. */
export function splitHosts(url: string): { hosts: { name: string; url: string }[]; session: TargetSession } {
  const [, before = '', list = '', after = ''] = /^([^/]*\/\/(?:[^@/?]*@)?)([^/?]*)(.*)$/s.exec(url) ?? []
  const [, stated] = /[?&]target_session_attrs=([a-z-]+)/.exec(after) ?? []
  return {
    hosts: list.split(',').map((each) => ({ name: decodeURIComponent(each), url: `${before}${each}${after}` })),
    session: SESSIONS.find((each) => each === stated) ?? 'any',
  }
}

/** For messages: `host:port/database`, of several hosts `host:port,host:port/database`. */
export function describeTarget({ hosts, database }: DatabaseTarget): string {
  const places = hosts.map(({ host, port }) => (host.startsWith('/') ? host : `${bracketed(host)}:${port}`)).join(',')
  const separator = hosts.every(({ host }) => host.startsWith('/')) ? ' ' : '/'
  return database === undefined ? places : `${places}${separator}${database}`
}

/** @param ports one for all, or one for each. */
function withPorts(hosts: readonly string[], ports: readonly number[]): DatabaseHost[] {
  const [first = DEFAULT_PORT, ...more] = ports
  if (more.length > 0 && ports.length !== hosts.length)
    throw new Error(`has ${ports.length} ports, but not as many hosts: one for all, or one for each`)
  return hosts.map((host, index) => ({ host, port: ports[index] ?? first }))
}

const bracketed = (host: string): string => (host.includes(':') && !host.startsWith('/') ? `[${host}]` : host)
const inUrl = (host: string): string => (host.startsWith('/') ? encodeURIComponent(host) : bracketed(host))

function sessionFaults(session: string | undefined, { target_session_attrs }: StatedDatabase['parameters']): string[] {
  if (session === undefined || SESSIONS.some((each) => each === session)) return []
  const subject = target_session_attrs === undefined ? 'leaves it to PGTARGETSESSIONATTRS, which is a' : 'has a'
  return [
    `${subject} target_session_attrs other than ${SESSIONS.join(', ')}: every sign-in and every refresh writes, and the others ask for sessions that cannot`,
  ]
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
