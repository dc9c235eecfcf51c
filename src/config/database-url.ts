import { isIPv6 } from 'node:net'

/** The parts of a URL; undefined if it does not state them. */
export interface StatedDatabase {
  /** In the order in which they are tried; each a name, an IP address without brackets, or the folder of a socket. */
  hosts: string[] | undefined
  /** One for all hosts, or one for each. */
  ports: number[] | undefined
  user: string | undefined
  password: string | undefined
  database: string | undefined
  parameters: Readonly<Record<string, string>>
}

/** PostgreSQL's, where none is stated. */
export const DEFAULT_PORT = 5432

const ESCAPES = 'in a user name or password # is written %23, / %2F, ? %3F, @ %40, : %3A and % %25'

/**
 * Reads DATABASE_URL by stricter rules than libpq and the driver, so that whatever is accepted means the same to both.
 * They disagree about repeated parameters, fragments and unescaped delimiters, where the driver might use something
 * else than what was checked here: part of a password might be looked up as a host name, or `sslmode=disable` hide
 * behind `verify-full`.
 * @throws Error naming the parts that are wrong. It quotes nothing of the URL: any piece may belong to the password.
 */
export function readDatabaseUrl(value: string): StatedDatabase {
  refuseOtherForms(value)
  const [, rest = ''] = value.split(/^postgres(?:ql)?:\/\//)
  if (/\s/.test(rest)) throw new Error('has white space: a space is written %20')
  if (!/^[\x21-\x7e]*$/.test(rest)) throw new Error('has characters beyond ASCII: they are written percent-encoded')
  if (rest.includes('#')) throw new Error(`has a fragment, which means nothing here: ${ESCAPES}`)
  if (/%(?![0-9a-f]{2})/i.test(rest)) throw new Error(`has a % that begins no escape: ${ESCAPES}`)
  if (decode(rest).includes('\0')) throw new Error('has a zero byte')

  const [, authority = '', path = '', query = ''] = /^([^/?]*)\/?([^?]*)\??(.*)$/.exec(rest) ?? []
  const [hostAndPort = '', credentials = '', ...more] = authority.split('@').toReversed()
  if (more.length > 0 || /@/.test(path + query)) throw new Error(`has an @ too many: ${ESCAPES}`)
  const [, user = '', password = ''] = /^([^:]*):?(.*)$/.exec(credentials) ?? []

  const parameters = readQuery(query)
  const { hosts, ports } = readAuthority(hostAndPort)
  const stated = {
    host: hosts,
    port: ports,
    user: decode(user) || undefined,
    password: decode(password) || undefined,
  }
  for (const name of ['host', 'port', 'user', 'password'] as const) {
    if (parameters[name] === undefined) continue
    if (stated[name] !== undefined) throw new Error(`states the ${name} twice: once before the ? and once behind it`)
  }
  const { host, port, user: userBehind, password: passwordBehind, ...others } = parameters
  const portsBehind = port === undefined ? undefined : readPorts(port)
  return {
    hosts: hosts ?? (host === undefined ? undefined : readHosts(host)),
    // Where a list stands before the ?, libpq does not ask PGPORT.
    ports: ports ?? portsBehind ?? (hosts && hosts.length > 1 ? [DEFAULT_PORT] : undefined),
    user: stated.user ?? userBehind,
    password: stated.password ?? passwordBehind,
    database: readDatabaseName(path),
    parameters: others,
  }
}

function refuseOtherForms(value: string): void {
  if (/^postgres(ql)?:\/\//.test(value)) return
  if (/^\w+\s*=/.test(value)) {
    throw new Error('is in the form key=value: write postgres://user:password@host:port/database instead')
  }
  throw new Error('must be a URL that begins with postgres:// or postgresql://')
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Error('has percent-escapes that are not UTF-8')
  }
}

function readAuthority(text: string): Pick<StatedDatabase, 'hosts' | 'ports'> {
  if (text === '') return { hosts: undefined, ports: undefined }
  const parts = text.split(',').map((part) => {
    const [, host = '', port] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(part) ?? []
    if (host === '')
      throw new Error(part === '' ? 'has an empty place in its list of hosts' : 'has a port without a host')
    return {
      host: checkHost(host.startsWith('[') ? checkBrackets(host) : decode(host)),
      port: port ? readPort(port) : undefined,
    }
  })
  const none = parts.every(({ port }) => port === undefined)
  return {
    hosts: parts.map(({ host }) => host),
    ports: none ? undefined : parts.map(({ port }) => port ?? DEFAULT_PORT),
  }
}

function checkBrackets(host: string): string {
  const address = host.slice(1, -1)
  if (!isIPv6(address) || address.includes('%')) throw new Error('has a host in brackets that is no IPv6 address')
  return address
}

export function readHosts(text: string): string[] {
  return text.split(',').map(checkHost)
}

function checkHost(host: string): string {
  // libpq splits the list after it has decoded it.
  if (host.includes(',')) throw new Error('has a host with a comma in it')
  if (host.startsWith('/') || (isIPv6(host) && !host.includes('%'))) return host
  if (!/^\w([\w.-]*[\w.])?$/.test(host)) throw new Error(`has a host that is neither a name nor an address: ${ESCAPES}`)
  return host
}

export function readPorts(text: string): number[] {
  return text.split(',').map(readPort)
}

function readPort(text: string): number {
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65535) {
    throw new Error(`has a port that is no number from 1 to 65535: ${ESCAPES}`)
  }
  return port
}

/** The driver leaves escapes of `/`, `#` and `?` undecoded here and resolves `.` and `..`; libpq does the opposite. */
function readDatabaseName(path: string): string | undefined {
  const name = decode(path)
  if (decodeURI(path) !== name || /[/#?]/.test(name) || /^\.\.?$/.test(name)) {
    throw new Error('has a database name with characters that cannot be written in a URL')
  }
  return name || undefined
}

/** The parameters that libpq and the driver treat alike. */
const PARAMETERS = [
  'host',
  'port',
  'user',
  'password',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'sslnegotiation',
  'options',
  'application_name',
  'target_session_attrs',
]
/** Parameters of other programs, and what to write instead. */
const ELSEWHERE: Record<string, string> = {
  dbname: 'the database is named in the path',
  hostaddr: 'write the address as the host',
  ssl: 'write sslmode=verify-full instead',
  uselibpqcompat: 'write sslmode=verify-full instead',
  schema: 'write options=-c%20search_path%3D and its name instead',
}
/** Parameters of libpq or of other drivers, which ours ignores. */
const WITHOUT_EFFECT =
  /^(channel_binding|client_encoding|connect_timeout|connection_limit|fallback_application_name|gssencmode|keepalives(_[a-z]+)?|load_balance_hosts|pgbouncer|pool_timeout|require_auth|sslcompression|sslsni|ssl_m[a-z_]+|tcp_user_timeout)$/

function readQuery(query: string): Record<string, string> {
  const parameters: Record<string, string> = {}
  const faults: string[] = []
  for (const pair of query === '' ? [] : query.split('&')) {
    const [name = '', value = '', ...more] = pair.split('=')
    if (Object.hasOwn(ELSEWHERE, name)) faults.push(`has the parameter ${name}: ${ELSEWHERE[name]}`)
    else if (WITHOUT_EFFECT.test(name)) faults.push(`has the parameter ${name}, which has no effect here: leave it out`)
    else if (!PARAMETERS.includes(name)) faults.push(`has a parameter that is none of ${PARAMETERS.join(', ')}`)
    else if (Object.hasOwn(parameters, name)) faults.push(`has the parameter ${name} twice`)
    else if (value === '') faults.push(`has the parameter ${name} without a value`)
    else if (more.length > 0) faults.push(`has a = in the value of ${name}: it is written %3D`)
    else if (value.includes('+')) faults.push(`has a + in the value of ${name}: it is written %2B, a space %20`)
    else parameters[name] = decode(value)
  }
  if (faults.length > 0) throw new Error([...new Set(faults)].join('; '))
  return parameters
}
