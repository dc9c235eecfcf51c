import { expect, test } from 'vitest'
import { judgeClients } from '../../src/cli/doctor/clients.ts'
import type { ClientRecord } from '../../src/clients/list.ts'
import { createTestCli } from './support.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const DAY = 86_400_000
const config = {
  ISSUER: 'https://auth.example',
  ALLOWED_ORIGINS: ['https://app.example'],
  NATIVE_ORIGINS: ['https://view.example'],
  AUDIENCE: ['orders', 'https://stock.example'],
}

const service = (days: number[], rest: Partial<ClientRecord> = {}): ClientRecord => ({
  id: 'cl_1',
  name: 'reports',
  type: 'service',
  builtIn: false,
  scopes: null,
  audiences: null,
  origins: [],
  sessionIdleSeconds: null,
  sessionMaxSeconds: null,
  rememberIdleSeconds: null,
  rememberMaxSeconds: null,
  accessTokenSeconds: null,
  auth: { method: 'client_secret_basic' },
  statesVisitorAddress: false,
  dpopRequired: false,
  secrets: days.map((each) => {
    const expiresAt = new Date(NOW.getTime() + each * DAY)
    return { id: `${each}`, createdAt: NOW, expiresAt, lastUsedAt: null }
  }),
  disabledAt: null,
  createdAt: NOW,
  ...rest,
})
const checks = (audiences: string[], scopes: string[] | null = null) => service([300], { audiences, scopes })
const web = service([], { id: 'web', name: 'web', type: 'browser', builtIn: true, auth: null, createdAt: null })
const shop = (rest: Partial<ClientRecord>) => service([], { type: 'browser', auth: null, audiences: ['x'], ...rest })
const people = (type: 'browser' | 'native', origins: string[]) => service([], { type, origins, auth: null })

test.each<[string, ClientRecord[], string[]]>([
  ['none', [], []],
  ['a disabled one', [service([-1], { disabledAt: NOW })], []],
  ['a secret that is good for long', [service([31])], ['ok 1 registered']],
  ['an old secret beside a new one', [service([-1, 300])], ['ok 1 registered']],
  [
    'no secret, because it signs',
    [service([], { auth: { method: 'private_key_jwt', jwksUri: 'https://a' } })],
    ['ok 1'],
  ],
  ['a secret that expires soon', [service([29])], ['warning the last secret of “reports” expires 2030-01-30']],
  ['a secret that has expired', [service([0])], ['warning every secret of “reports” has expired']],
  ['pages of their own kind', [people('browser', ['https://app.example'])], ['ok 1']],
  ['a page as a web view', [people('native', ['https://app.example'])], ['warning https://app.example is an origin']],
  ['the issuer as a web view', [people('native', ['https://auth.example'])], ['warning https://auth.example is an']],
  ['a web view as a page', [people('browser', ['https://view.example'])], ['warning https://view.example is an']],
  ['an audience of the settings', [checks(['orders'])], ['ok 1']],
  ['an audience that nobody has', [checks(['x'])], ['warning no person’s token is for “x”,[^?]*$']],
  [
    'a misspelt audience',
    [checks(['orders', 'stokc', 'ordrs'])],
    ['warning .*“stokc”', 'warning .*“ordrs”.*“orders”\\?$'],
  ],
  ['an audience that other services ask for', [checks(['x'], ['write'])], ['ok 1']],
  ['a misspelt audience to ask for', [checks(['ordrs'], ['write'])], ['warning .*Did you mean “orders”']],
  ['an audience of a registered client', [checks(['x']), shop({})], ['ok 2']],
  ['an audience of a client that is disabled', [checks(['x']), shop({ disabledAt: NOW })], ['warning no person’s']],
  ['an audience of another service', [checks(['x']), checks(['x'])], ['warning no person’s', 'warning no person’s']],
])('doctor tells of clients: %s', (_what, clients, told) => {
  const findings = judgeClients([web, ...clients], NOW, config).map(({ status, message }) => `${status} ${message}`)
  expect(findings).toEqual(told.map((each) => expect.stringMatching(`^${each}`)))
})

test('doctor looks at the clients that there are', async () => {
  await using cli = await createTestCli({ PORT: '0' })
  expect((await cli.run(['doctor'])).out).not.toContain('clients')
  await cli.json(['clients', 'add', 'app', '--type', 'browser', '--origin', 'https://app.example'])
  expect((await cli.run(['doctor'])).out).toMatch(/✓ clients +1 registered; no secret expires soon/)
})
