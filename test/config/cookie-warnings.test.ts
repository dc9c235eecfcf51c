import { expect, test } from 'vitest'
import { parseConfig } from '../../src/config/parse.ts'

const warningsOf = (ISSUER: string, ALLOWED_ORIGINS = '') =>
  parseConfig({
    ISSUER,
    ALLOWED_ORIGINS,
    DATABASE_URL: 'postgres://u:p@127.0.0.1/d',
    CLAVIGER_SECRET: 'TOmBwUGsNhYv8YVvKcVhrM1kxsAJsAQ8TnGmqGMuKxE=',
  }).warnings

const PLAIN = expect.stringContaining('ISSUER is plain http')
const SHARED = expect.stringContaining('ports do not separate cookies')
const SITE = expect.stringContaining('ALLOWED_ORIGINS item 1 is on another site')

test.each<[string, string, unknown[]]>([
  ['http://localhost:3000', '', []],
  ['http://localhost:3000', 'http://localhost:5173', []],
  ['https://auth.example.com', 'https://app.example.com', []],
  ['https://auth.example.com', 'https://auth.example.com:8443', []],
  ['https://auth.example.com', 'https://example.com', []],
  ['https://auth.example.co.uk', 'https://app.example.co.uk', []],
  ['http://two.localhost:3000', 'http://localhost:5173', []],
  // Browsers keep no Secure cookie.
  ['http://auth.example.com', '', [PLAIN]],
  ['http://192.168.1.4:3000', '', [PLAIN]],
  ['http://laptop.local:3000', '', [PLAIN]],
  // The cookie of another server.
  ['http://localhost:3001', '', [SHARED]],
  ['http://127.0.0.1:3001', '', [SHARED]],
  ['http://localhost', '', [SHARED]],
  // Another site.
  ['http://127.0.0.1:3000', 'http://localhost:5173', [SITE]],
  ['http://localhost:3000', 'http://127.0.0.1:5173', [SITE]],
  ['http://[::1]:3000', 'http://localhost:5173', [SITE]],
  ['http://localhost:3000', 'http://app.example.com', [SITE]],
  ['http://localhost:3000', 'https://localhost:5173', [SITE]],
  ['https://auth.example.com', 'https://app.example.org', [SITE]],
  ['https://auth.example.com', 'http://app.example.com', [SITE]],
  ['https://192.0.2.1', 'https://192.0.2.2', [SITE]],
])('%s with %s', (issuer, origins, expected) => {
  expect(warningsOf(issuer, origins)).toEqual(expected)
})

test('which item it is, and not what it says', () => {
  const found = warningsOf('https://auth.example.com', 'https://app.example.com,https://elsewhere.example.org')
  expect(found).toEqual([expect.stringContaining('item 2')])
  expect(found.join()).not.toContain('elsewhere')
})
