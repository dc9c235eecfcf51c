import { describe, expect, test } from 'vitest'
import { describeLink, inspectLinks } from '../../src/config/database-link.ts'
import { isInside } from '../../src/config/networks.ts'
import { ConfigError, judgeDatabaseLink, parseConfig } from '../../src/config/parse.ts'

const env = {
  NODE_ENV: 'production',
  ISSUER: 'https://auth.example.com',
  CLAVIGER_SECRET: 'TOmBwUGsNhYv8YVvKcVhrM1kxsAJsAQ8TnGmqGMuKxE=',
}

/** What production makes of a URL whose host has these addresses. */
async function verdict(url: string, addresses: string[] | Error): Promise<string> {
  const resolve = async () => {
    if (addresses instanceof Error) throw addresses
    return addresses
  }
  try {
    await judgeDatabaseLink(parseConfig({ ...env, DATABASE_URL: url }), resolve)
    return 'accepted'
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.map(({ name }) => name).join()
    return (error as { code: string }).code
  }
}

describe('in production the addresses of the database decide, not the look of its name', () => {
  test.each<[string, string[], string]>([
    ['pg-rw.database', ['10.43.7.1'], 'accepted'],
    ['pg-rw.database.svc.cluster.local', ['10.43.7.1'], 'accepted'],
    ['postgres', ['172.18.0.2', 'fd00::2'], 'accepted'],
    ['db.example.com', ['192.168.1.4'], 'accepted'],
    ['db.tailnet.example', ['100.64.0.7'], 'accepted'],
    ['db', ['::ffff:10.0.0.1'], 'accepted'],
    ['db.local', ['fe80::1%eth0'], 'accepted'],
    ['postgres', ['198.51.100.7'], 'DATABASE_URL'],
    ['db.internal', ['203.0.113.9'], 'DATABASE_URL'],
    ['db.svc', ['203.0.113.9'], 'DATABASE_URL'],
    ['db.example.com', ['10.0.0.1', '203.0.113.9'], 'DATABASE_URL'],
    ['db.example.com', ['10.0.0.1', '2001:db8::1'], 'DATABASE_URL'],
    ['db.example.com', ['::ffff:203.0.113.9'], 'DATABASE_URL'],
  ])('%s at %j: %s', async (host, addresses, expected) => {
    expect(await verdict(`postgres://u:p@${host}/d`, addresses)).toBe(expected)
    expect(await verdict(`postgres://u:p@${host}/d?sslmode=verify-full`, addresses)).toBe('accepted')
  })

  test('a name without an address is not judged yet, and not connected to either', async () => {
    const missing = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
    expect(await verdict('postgres://u:p@pg-rw.database/d', missing)).toBe('ENOTFOUND')
  })

  test('development judges nothing', async () => {
    const parsed = parseConfig({ ...env, NODE_ENV: 'development', DATABASE_URL: 'postgres://u:p@db.example.com/d' })
    await judgeDatabaseLink(parsed, async () => ['203.0.113.9'])
  })

  test.each([
    '203.0.113.9',
    '[2001:db8::1]',
    '[::ffff:203.0.113.9]',
    '[::10.0.0.1]',
    '172.32.0.1',
    '100.128.0.1',
    '0.0.0.0',
  ])('an address that anybody may have is refused without asking: %s', (host) => {
    expect(() => parseConfig({ ...env, DATABASE_URL: `postgres://u:p@${host}/d` })).toThrow('DATABASE_URL: needs')
  })

  test('however an address is spelt', async () => {
    // 192.0.2.1 and 127.0.0.1 as one number: resolvers take them.
    const at = (host: string) => parseConfig({ ...env, DATABASE_URL: `postgres://u:p@${host}/d` })
    await expect(judgeDatabaseLink(at('3221225985'))).rejects.toThrow('DATABASE_URL: needs')
    await judgeDatabaseLink(at('2130706433'))
    await judgeDatabaseLink(at('localhost'))
  })
})

test.each([
  ['127.0.0.1', true],
  ['127.255.0.1', true],
  ['128.0.0.1', false],
  ['10.255.255.255', true],
  ['11.0.0.0', false],
  ['172.16.0.0', true],
  ['172.15.255.255', false],
  ['192.168.255.1', true],
  ['192.169.0.1', false],
  ['100.64.0.0', true],
  ['100.127.255.255', true],
  ['100.63.255.255', false],
  ['169.254.1.1', true],
  ['::1', true],
  ['::', false],
  ['fc00::1', true],
  ['fdff::1', true],
  ['fe80::1%eth0', true],
  ['fec0::1', false],
  ['::10.0.0.1', false],
  ['::127.0.0.1', false],
  ['2001:db8::1', false],
  ['a.name', false],
])('%s inside: %s', (address, expected) => {
  expect(isInside(address)).toBe(expected)
})

test('of several hosts each is judged', async () => {
  const several = async (addresses: Record<string, string[]>, host = 'a,b,c', query = '') =>
    await judgeDatabaseLink(parseConfig({ ...env, DATABASE_URL: `postgres://u:p@${host}/d${query}` }), async (name) => {
      const found = addresses[name]
      if (!found) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
      return found
    })
  const inside = ['10.0.0.1']
  await several({ a: inside, b: inside, c: inside })
  await expect(several({ a: inside, b: inside, c: ['203.0.113.9'] })).rejects.toThrow('DATABASE_URL: needs')
  // A machine that is away may have no name, and another is the one that must be found.
  await several({ b: inside })
  await expect(several({ c: ['203.0.113.9'] })).rejects.toThrow('DATABASE_URL: needs')
  await expect(several({})).rejects.toMatchObject({ code: 'ENOTFOUND' })
  await several({ a: inside }, 'a,%2Frun%2Fpostgresql')
  await expect(several({ a: inside }, 'a,203.0.113.9')).rejects.toThrow('DATABASE_URL: needs')
  await several({ a: ['203.0.113.9'] }, 'a,203.0.113.9', '?sslmode=verify-full')
})

test('what was found is said', async () => {
  const said = async (host: string, addresses: string[], verified = false) => {
    const links = await inspectLinks({ hosts: [{ host, port: 5432 }], database: 'd', verified }, async () => addresses)
    return links.map(describeLink).join()
  }
  expect(await said('db.example.com', ['10.0.0.1', '10.0.0.2'])).toContain(
    'db.example.com (10.0.0.1, 10.0.0.2), which the Internet',
  )
  expect(await said('203.0.113.9', [])).toBe('plain text to 203.0.113.9, which is not inside a private network')
  expect(await said('db.example.com', [], true)).toContain('certificate')
  expect(await said('/run/postgresql', [])).toContain('socket')
})
