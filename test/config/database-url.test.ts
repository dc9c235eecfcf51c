import { createPrivateKey } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeTarget } from '../../src/config/database-target.ts'
import { ConfigError, parseConfig } from '../../src/config/parse.ts'
import { makeCertificate } from '../support/certificate.ts'

const CLAVIGER_SECRET = 'TOmBwUGsNhYv8YVvKcVhrM1kxsAJsAQ8TnGmqGMuKxE='

function parse(url: string, env: Record<string, string> = {}) {
  return parseConfig({ CLAVIGER_SECRET, DATABASE_URL: url, ...env })
}

/** What is said of a URL, without the names of the settings. */
function faultOf(url: string, env: Record<string, string> = {}): string {
  try {
    parse(url, env)
    return ''
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    expect(error.faults.map(({ name }) => name)).toEqual(['DATABASE_URL'])
    return error.faults[0]?.message ?? ''
  }
}

describe('a URL that can be read in two ways is refused by the name of the part', () => {
  test.each<[string, string]>([
    // Passwords that somebody forgot to encode.
    ['postgres://u:Tr0ub4dor@Horse#staple@127.0.0.1/d', '# is written %23'],
    ['postgres://u:Tr0ub4dor@Horse@127.0.0.1/d', 'has an @ too many'],
    ['postgres://u:Tr0ub4dor/Horse@127.0.0.1/d', 'has an @ too many'],
    ['postgres://u:Tr0ub4dor?Horse@127.0.0.1/d', 'has an @ too many'],
    ['postgres://u:Tr0ub4dor#Horse@127.0.0.1/d', 'has a fragment'],
    ['postgres://u:Tr0ub4dor%Horse@127.0.0.1/d', 'has a % that begins no escape'],
    ['postgres://u:100%@127.0.0.1/d', '% %25'],
    ['postgres://u:Tr0ub4dor%FFHorse@127.0.0.1/d', 'not UTF-8'],
    ['postgres://u:Tr0ub4dor%00Horse@127.0.0.1/d', 'zero byte'],
    ['postgres://u:Tr0ub4dor Horse@127.0.0.1/d', 'a space is written %20'],
    ['postgres://u:Tr0ub4dör@127.0.0.1/d', 'beyond ASCII'],
    ['postgres://u:Tr0ub4\u00a0dor@127.0.0.1/d', 'white space'],
    ['postgres://u:Tr0ub4dor\u0007@127.0.0.1/d', 'beyond ASCII'],
    ['postgres://u:Tr0ub4dor\t@127.0.0.1/d', 'white space'],
    // Other forms.
    ['"postgres://u:Tr0ub4dor@127.0.0.1/d"', 'quotation mark'],
    ["'postgres://u:Tr0ub4dor@127.0.0.1/d'", 'quotation mark'],
    ['host=127.0.0.1 dbname=d user=u password=Tr0ub4dor', 'in the form key=value'],
    ['host = Horse dbname=d', 'in the form key=value'],
    ['jdbc:postgresql://127.0.0.1/d?user=u&password=Tr0ub4dor', 'must be a URL that begins with'],
    ['POSTGRES://u:Tr0ub4dor@127.0.0.1/d', 'must be a URL that begins with'],
    ['u:Tr0ub4dor@127.0.0.1/d', 'must be a URL that begins with'],
    ['mysql://u:Tr0ub4dor@127.0.0.1/d', 'must be a URL that begins with'],
    ['postgres:/u:Tr0ub4dor@127.0.0.1/d', 'must be a URL that begins with'],
    // Hosts and ports.
    ['postgres://u:Tr0ub4dor@Horse,,staple/d', 'an empty place in its list of hosts'],
    ['postgres://u:Tr0ub4dor@Horse,/d', 'an empty place in its list of hosts'],
    ['postgres://u:Tr0ub4dor@Horse,:1/d', 'a port without a host'],
    ['postgres://u:Tr0ub4dor@/d?host=Horse,', 'neither a name nor an address'],
    ['postgres://u:Tr0ub4dor@/d?host=Horse,,staple', 'neither a name nor an address'],
    // libpq would split these after decoding.
    ['postgres://u:Tr0ub4dor@Horse%2Cstaple/d', 'a host with a comma'],
    ['postgres://u:Tr0ub4dor@%2FHorse%2Cstaple/d', 'a host with a comma'],
    ['postgres://u:Tr0ub4dor@Horse,staple/d?port=1,2,3', 'has 3 ports, but not as many hosts'],
    ['postgres://u:Tr0ub4dor@Horse/d?port=1,2', 'has 2 ports, but not as many hosts'],
    ['postgres://u:Tr0ub4dor@/d?host=Horse,staple&port=1,', 'from 1 to 65535'],
    ['postgres://u:Tr0ub4dor@Horse:1,staple/d?port=2', 'states the port twice'],
    ['postgres://u:Tr0ub4dor@Horse:1,staple:0/d', 'from 1 to 65535'],
    ['postgres://u:Tr0ub4dor@Horse,staple/d?host=battery', 'states the host twice'],
    ['postgres://u:Tr0ub4dor@Horse,%2Frun/d?sslmode=verify-full', 'for a socket'],
    ['postgres://u:Tr0ub4dor@Horse/d?host=staple', 'states the host twice'],
    ['postgres://u:Tr0ub4dor@127.0.0.1/d?host=/run/Horse', 'states the host twice'],
    ['postgres://u:Tr0ub4dor@127.0.0.1:1/d?port=2', 'states the port twice'],
    ['postgres://u:Tr0ub4dor@127.0.0.1/d?user=Horse', 'states the user twice'],
    ['postgres://u:Tr0ub4dor@127.0.0.1/d?password=Horse', 'states the password twice'],
    ['postgres://u:Tr0ub4dor@127.0.0.1:0/d', 'from 1 to 65535'],
    ['postgres://u:Tr0ub4dor@127.0.0.1:65536/d', 'from 1 to 65535'],
    ['postgres://u:Tr0ub4dor@127.0.0.1:Horse/d', 'from 1 to 65535'],
    ['postgres://u:Tr0ub4dor@/d?host=127.0.0.1&port=-1', 'from 1 to 65535'],
    ['postgres://u:Tr0ub4dor:Horse/d', 'from 1 to 65535'],
    ['postgres://u:Tr0ub4dor@:5432/d', 'a port without a host'],
    ['postgres://u:Tr0ub4dor@[Horse]/d', 'no IPv6 address'],
    ['postgres://u:Tr0ub4dor@[fe80::1%25eth0]/d', 'no IPv6 address'],
    ['postgres://u:Tr0ub4dor@::1/d', 'a port without a host'],
    ['postgres://u:Tr0ub4dor@Horse!/d', 'neither a name nor an address'],
    ['postgres://u:Tr0ub4dor@Horse%20staple/d', 'neither a name nor an address'],
    ['postgres://u:Tr0ub4dor@/d?host=@Horse', 'has an @ too many'],
    ['postgres://u:Tr0ub4dor@/d', 'names no host'],
    ['postgres:///d', 'names no host'],
    ['postgres://', 'names no host'],
    // Names of databases that the driver cannot decode, or would shorten.
    ['postgres://u:Tr0ub4dor@127.0.0.1/Horse%2Fstaple', 'database name'],
    ['postgres://u:Tr0ub4dor@127.0.0.1/Horse/staple', 'database name'],
    ['postgres://u:Tr0ub4dor@127.0.0.1/Horse%23', 'database name'],
    ['postgres://u:Tr0ub4dor@127.0.0.1/%2e%2e', 'database name'],
    // Parameters.
    ['postgres://u:p@127.0.0.1/d?sslmode=verify-full&sslmode=disable', 'has the parameter sslmode twice'],
    ['postgres://u:p@/d?host=127.0.0.1&host=Horse', 'has the parameter host twice'],
    ['postgres://u:p@127.0.0.1/d?options=-c%20a%3D1&options=-c%20b%3D1', 'has the parameter options twice'],
    ['postgres://u:p@127.0.0.1/d?ssl=true', 'has the parameter ssl: write sslmode=verify-full'],
    ['postgres://u:p@127.0.0.1/d?uselibpqcompat=true&sslmode=verify-full', 'has the parameter uselibpqcompat'],
    ['postgres://u:p@127.0.0.1/?dbname=d', 'has the parameter dbname: the database is named in the path'],
    ['postgres://u:p@127.0.0.1/d?channel_binding=require', 'channel_binding, which has no effect here'],
    ['postgres://u:p@127.0.0.1/d?connect_timeout=10', 'connect_timeout, which has no effect here'],
    ['postgres://u:p@127.0.0.1/d?load_balance_hosts=random', 'load_balance_hosts, which has no effect here'],
    ...['read-only', 'standby', 'prefer-standby', 'Primary', 'Horse'].map((session): [string, string] => [
      `postgres://u:p@127.0.0.1,10.0.0.1/d?target_session_attrs=${session}`,
      'has a target_session_attrs other than read-write, primary, any',
    ]),
    ['postgres://u:p@127.0.0.1/d?schema=auth', 'search_path'],
    ['postgres://u:p@127.0.0.1/d?statement_timeout=0', 'has a parameter that is none of host, port'],
    ['postgres://u:p@127.0.0.1/d?Horse=1', 'has a parameter that is none of host, port'],
    ['postgres://u:p@127.0.0.1/d?SSLMODE=verify-full', 'has a parameter that is none of host, port'],
    ['postgres://u:p@127.0.0.1/d?ssl%6dode=verify-full', 'has a parameter that is none of host, port'],
    ['postgres://u:p@127.0.0.1/d?__proto__=1', 'has a parameter that is none of host, port'],
    ['postgres://u:p@127.0.0.1/d?sslmode', 'has the parameter sslmode without a value'],
    ['postgres://u:p@127.0.0.1/d?sslmode=', 'has the parameter sslmode without a value'],
    ['postgres://u:p@127.0.0.1/d?options=-csearch_path=Horse', 'written %3D'],
    ['postgres://u:p@127.0.0.1/d?options=-c+search_path%3DHorse', 'written %2B, a space %20'],
    ['postgres://u:p@127.0.0.1/d?sslmode=verify-full?sslmode=disable', 'has a = in the value of sslmode'],
    ...['allow', 'prefer', 'require', 'verify-ca', 'no-verify', 'Verify-Full', 'Horse'].map(
      (mode): [string, string] => [
        `postgres://u:p@127.0.0.1/d?sslmode=${mode}`,
        'has an sslmode other than verify-full and disable',
      ],
    ),
    ['postgres://u:p@/d?host=/run/postgresql&sslmode=verify-full', 'for a socket'],
    ['postgres://u:p@127.0.0.1/d?sslrootcert=system', 'without sslmode=verify-full'],
    ['postgres://u:p@127.0.0.1/d?sslmode=disable&sslnegotiation=direct', 'without sslmode=verify-full'],
    ['postgres://u:p@127.0.0.1/d?sslmode=verify-full&sslnegotiation=Horse', 'neither postgres nor direct'],
  ])('%s', (url, expected) => {
    const message = faultOf(url)
    expect(message).toContain(expected)
    expect(message).not.toMatch(/Tr0ub|Horse|staple|127\.0/)
  })

  test('all faults of the parameters at once', () => {
    const message = faultOf('postgres://u:p@127.0.0.1/d?ssl=1&connect_timeout=9&options=a+b')
    for (const name of ['ssl', 'connect_timeout', 'options']) expect(message).toContain(name)
    expect(faultOf('postgres://u:p@127.0.0.1/d?sslmode=require&sslcert=/nowhere/a')).toMatch(
      /sslmode.*sslcert that cannot be read \(ENOENT\).*sslkey/,
    )
  })
})

describe('what both readers understand alike is accepted', () => {
  test.each<[string, object]>([
    ['postgres://u:p@127.0.0.1/d', { hosts: [{ host: '127.0.0.1', port: 5432 }], database: 'd', verified: false }],
    ['postgresql://u:p@db.example.com:6000/d?', { hosts: [{ host: 'db.example.com', port: 6000 }] }],
    ['postgres://u:p@localhost', { hosts: [{ host: 'localhost', port: 5432 }], database: undefined }],
    ['postgres://u:p@localhost:/', { hosts: [{ host: 'localhost', port: 5432 }], database: undefined }],
    ['postgres://localhost/none', { hosts: [{ host: 'localhost' }], database: 'none' }],
    ['postgres://u:p@[::1]:6000/d', { hosts: [{ host: '::1', port: 6000 }] }],
    ['postgres://u:p@my_container:6000/d', { hosts: [{ host: 'my_container' }] }],
    ['postgres://u:p@127.0.0.1/d%C3%A9-1', { database: 'dé-1' }],
    ['postgres://u:p@db.example.com/d?sslmode=verify-full', { verified: true }],
    ['postgres://u:p@db.example.com/d?sslmode=verify-full&sslrootcert=system', { verified: true }],
    // Sockets, as libpq and as Cloud SQL write them.
    ['postgres://u:p@/db?host=/run/postgresql', { hosts: [{ host: '/run/postgresql', port: 5432 }], database: 'db' }],
    ['postgres:///x?host=/var/run/postgresql', { hosts: [{ host: '/var/run/postgresql' }], database: 'x' }],
    ['postgres://u:p@/db?host=%2Fcloudsql%2Fp:r:i&port=6000', { hosts: [{ host: '/cloudsql/p:r:i', port: 6000 }] }],
    ['postgres://u:p@%2Frun%2Fpostgresql/db', { hosts: [{ host: '/run/postgresql', port: 5432 }], database: 'db' }],
    [
      'postgres://u:p@%2Frun%2Fpostgresql:6000/db',
      { hosts: [{ host: '/run/postgresql', port: 6000 }], database: 'db' },
    ],
    ['postgres://u:p@/db?host=/run/postgresql&sslmode=disable', { verified: false }],
    ['postgres:///db?host=db.example.com&user=u&password=p%40', { hosts: [{ host: 'db.example.com', port: 5432 }] }],
    // Lists, with a port for each, one for all, or none.
    [
      'postgres://u:p@a:6000,b:6001/d',
      {
        hosts: [
          { host: 'a', port: 6000 },
          { host: 'b', port: 6001 },
        ],
        database: 'd',
      },
    ],
    [
      'postgres://u:p@a:6000,b/d',
      {
        hosts: [
          { host: 'a', port: 6000 },
          { host: 'b', port: 5432 },
        ],
      },
    ],
    [
      'postgres://u:p@a,b',
      {
        hosts: [
          { host: 'a', port: 5432 },
          { host: 'b', port: 5432 },
        ],
        database: undefined,
      },
    ],
    [
      'postgres://u:p@a,b/d?port=6000',
      {
        hosts: [
          { host: 'a', port: 6000 },
          { host: 'b', port: 6000 },
        ],
      },
    ],
    [
      'postgres://u:p@a,b/d?port=6000,6001',
      {
        hosts: [
          { host: 'a', port: 6000 },
          { host: 'b', port: 6001 },
        ],
      },
    ],
    [
      'postgres://u:p@/d?host=a,b&port=6000,6001',
      {
        hosts: [
          { host: 'a', port: 6000 },
          { host: 'b', port: 6001 },
        ],
      },
    ],
    [
      'postgres://u:p@/d?host=a%2Cb&port=6000%2C6001',
      {
        hosts: [
          { host: 'a', port: 6000 },
          { host: 'b', port: 6001 },
        ],
      },
    ],
    [
      'postgres://u:p@/d?host=::1,b',
      {
        hosts: [
          { host: '::1', port: 5432 },
          { host: 'b', port: 5432 },
        ],
      },
    ],
    [
      'postgres://u:p@[::1]:6000,[::2]/d',
      {
        hosts: [
          { host: '::1', port: 6000 },
          { host: '::2', port: 5432 },
        ],
      },
    ],
    [
      'postgres://u:p@%2Frun%2Fpostgresql,b:6000/d',
      {
        hosts: [
          { host: '/run/postgresql', port: 5432 },
          { host: 'b', port: 6000 },
        ],
      },
    ],
    [
      'postgres://u:p@a,b,c/d?sslmode=verify-full',
      { hosts: [{ host: 'a' }, { host: 'b' }, { host: 'c' }], verified: true },
    ],
    // White space around is not part of it: files end with a line break, and some editors begin them with a mark.
    [' postgres://u:p@127.0.0.1/d\n', { database: 'd' }],
    ['\ufeffpostgres://u:p@127.0.0.1/d', { database: 'd' }],
  ])('%s', (url, expected) => {
    expect(parse(url).database).toMatchObject(expected)
  })
})

test('what the URL leaves open comes from the variables of libpq, and is judged as well', () => {
  const env = { PGHOST: 'db.example.com', PGPORT: '6000', PGUSER: 'ada', PGDATABASE: 'auth', PGSSLMODE: 'verify-full' }
  const { database, secrets } = parse('postgres://', env)
  expect(database).toEqual({ hosts: [{ host: 'db.example.com', port: 6000 }], database: 'auth', verified: true })
  expect(secrets.databaseUrl).toBe('postgres://ada:@db.example.com:6000/auth?sslmode=verify-full')
  const stated = parse('postgres://u:p@127.0.0.1:7000/d?sslmode=disable', env)
  expect(stated.secrets.databaseUrl).toBe('postgres://u:p@127.0.0.1:7000/d?sslmode=disable')
  expect(parse('postgres://localhost').secrets.databaseUrl).toContain(`//${encodeURIComponent(userInfo().username)}:@`)

  expect(faultOf('postgres://u:p@127.0.0.1/d', { PGSSLMODE: 'no-verify' })).toContain('leaves it to PGSSLMODE')
  expect(faultOf('postgres://u:p@/d', { PGHOST: 'a,b!' })).toContain('leaves it to PGHOST, which has a host that is')
  expect(faultOf('postgres://u:p@127.0.0.1/d', { PGPORT: 'tcp://10.0.0.1:5432' })).toContain('leaves it to PGPORT')
  const production = { NODE_ENV: 'production', ISSUER: 'https://auth.example.com' }
  expect(faultOf('postgres://u:p@/d', { ...production, PGHOST: '192.0.2.1' })).toContain('needs sslmode=verify-full')
})

test('of several hosts the one that takes writes is wanted, unless the URL or libpq’s variable says otherwise', () => {
  const complete = (url: string, env: Record<string, string> = {}) => parse(url, env).secrets.databaseUrl
  expect(complete('postgres://u:p@a,b:6000/d')).toBe(
    'postgres://u:p@a:5432,b:6000/d?sslmode=disable&target_session_attrs=read-write',
  )
  expect(complete('postgres://u:p@[::1],b/d?target_session_attrs=primary')).toBe(
    'postgres://u:p@[::1]:5432,b:5432/d?target_session_attrs=primary&sslmode=disable',
  )
  const env = { PGHOST: 'a,/run/postgresql', PGPORT: '6000,6001', PGTARGETSESSIONATTRS: 'any' }
  expect(complete('postgres://u:p@/d', env)).toBe(
    'postgres://u:p@a:6000,%2Frun%2Fpostgresql:6001/d?sslmode=disable&target_session_attrs=any',
  )
  // libpq does not ask PGPORT about a list that stands before the ?.
  expect(complete('postgres://u:p@a,b/d', { PGPORT: '6000' })).toContain('@a:5432,b:5432/')
  expect(complete('postgres://u:p@a/d', { PGPORT: '6000' })).toBe('postgres://u:p@a:6000/d?sslmode=disable')
  expect(complete('postgres://u:p@a/d?target_session_attrs=read-write')).toContain('?target_session_attrs=read-write&')
  expect(faultOf('postgres://u:p@a/d', { PGTARGETSESSIONATTRS: 'standby' })).toContain(
    'leaves it to PGTARGETSESSIONATTRS, which is a target_session_attrs other than',
  )
})

test('a list is told as a list', () => {
  const said = (url: string) => describeTarget(parse(url).database)
  expect(said('postgres://u:p@a,[::1]:6000/d')).toBe('a:5432,[::1]:6000/d')
  expect(said('postgres://u:p@%2Frun,b/d')).toBe('/run,b:5432/d')
  expect(said('postgres://u:p@%2Frun,%2Ftmp/d')).toBe('/run,/tmp d')
  expect(said('postgres://u:p@a,b')).toBe('a:5432,b:5432')
})

describe('the files of TLS', () => {
  let folder: string
  const at = (name: string) => join(folder, name)
  const url = (parameters: string) => `postgres://u:p@127.0.0.1/d?sslmode=verify-full&${parameters}`
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'claviger-tls-'))
    const { certificate, key } = makeCertificate('db.example.com')
    writeFileSync(at('ca.pem'), `# a comment, as bundles have them\n${certificate}${certificate}`)
    writeFileSync(at('key.pem'), key)
    writeFileSync(at('empty.pem'), '')
    writeFileSync(at('other.pem'), makeCertificate('db.example.com').key)
    const locked = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' } as const
    writeFileSync(at('locked.pem'), createPrivateKey(key).export(locked))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  test('are read at once', () => {
    const parameters = `sslrootcert=${at('ca.pem')}&sslcert=${at('ca.pem')}&sslkey=${at('key.pem')}`
    expect(parse(url(parameters)).secrets.databaseUrl).toContain(encodeURIComponent(at('ca.pem')))
  })

  test.each<[string, () => string, string]>([
    ['missing', () => 'sslrootcert=/nowhere/ca.pem', 'in sslrootcert that cannot be read (ENOENT)'],
    ['a folder', () => `sslrootcert=${folder}`, 'in sslrootcert that cannot be read (EISDIR)'],
    ['empty', () => `sslrootcert=${at('empty.pem')}`, 'in sslrootcert without a certificate'],
    ['a key in place of a certificate', () => `sslrootcert=${at('key.pem')}`, 'in sslrootcert without a certificate'],
    [
      'a certificate in place of a key',
      () => `sslcert=${at('ca.pem')}&sslkey=${at('ca.pem')}`,
      'in sslkey without a private key',
    ],
    [
      'a key with a pass phrase',
      () => `sslcert=${at('ca.pem')}&sslkey=${at('locked.pem')}`,
      'in sslkey without a private key in PEM that needs no pass phrase',
    ],
    [
      'the key of another certificate',
      () => `sslcert=${at('ca.pem')}&sslkey=${at('other.pem')}`,
      'do not belong together',
    ],
    ['a certificate without its key', () => `sslcert=${at('ca.pem')}`, 'both or neither'],
  ])('%s', (_name, parameters, expected) => {
    expect(faultOf(url(parameters()))).toContain(expected)
  })

  test('the certificates of the system are what the driver uses without a file', () => {
    const { secrets } = parse(url('sslrootcert=system'))
    expect(secrets.databaseUrl).toBe('postgres://u:p@127.0.0.1:5432/d?sslmode=verify-full')
  })
})
