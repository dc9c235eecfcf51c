import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { ConfigError, parseConfig } from '../../src/config/parse.ts'

const development = {
  DATABASE_URL: 'postgres://u:p@127.0.0.1/d',
  CLAVIGER_SECRET: randomBytes(32).toString('base64'),
}
const production = { ...development, NODE_ENV: 'production', ISSUER: 'https://auth.example.com' }
const smtp = { SMTP_URL: 'smtps://user:pa%40ss@mail.example.com:465', MAIL_FROM: 'Example <no-reply@example.com>' }

function faultsOf(env: Record<string, string>): string[] {
  try {
    parseConfig(env)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.faults.map(({ name }) => name)
  }
}

test('without a server mail is logged in development and not offered in production', () => {
  expect(parseConfig(development).config).toMatchObject({ mail: 'console', EMAIL_VERIFICATION: 'off' })
  expect(parseConfig(production).config).toMatchObject({ mail: 'off', EMAIL_VERIFICATION: 'off' })
  for (const env of [development, production]) {
    const { config, secrets } = parseConfig({ ...env, ...smtp })
    expect(config).toMatchObject({ mail: 'smtp', EMAIL_VERIFICATION: 'required' })
    expect(secrets.smtpUrl).toBe(smtp.SMTP_URL)
    expect(JSON.stringify(config)).not.toContain('pa%40ss')
  }
})

test.each<[string, Record<string, string>, string[]]>([
  ['a server without a sender', { SMTP_URL: smtp.SMTP_URL }, ['MAIL_FROM']],
  ['proof of addresses without mail', { EMAIL_VERIFICATION: 'required' }, ['EMAIL_VERIFICATION']],
  ['links that lead nowhere', { ...smtp, PAGES: 'off' }, ['APP_URL']],
  [
    'links to pages of one’s own',
    { ...smtp, PAGES: 'off', APP_URL: 'https://app.example.com/{page}#token={token}' },
    [],
  ],
  ['links over plain http', { ...smtp, APP_URL: 'http://app.example.com/{page}#{token}' }, ['APP_URL']],
  ['registration by invitation', { REGISTRATION: 'invite' }, []],
])('production and %s', (_name, env, faults) => {
  expect(faultsOf({ ...production, ...env })).toEqual(faults)
})

describe.each<[string, string[], string[]]>([
  [
    'SMTP_URL',
    [
      'smtp://localhost',
      'smtp://localhost:1025/',
      'smtps://mail.example.com',
      'smtp://u:p%2Fq@10.0.0.1:587',
      'smtp://[::1]:25',
    ],
    [
      'mail.example.com',
      'http://mail.example.com',
      'smtp://mail.example.com/path',
      'smtp://mail.example.com?pool=true',
      'smtp://mail.example.com#a',
      'smtp://u@mail.example.com',
      'smtp://u:100%@mail.example.com',
      'smtp://',
      'smtp://mail.example.com}',
    ],
  ],
  [
    'MAIL_FROM',
    ['no-reply@example.com', 'Example <no-reply@example.com>', 'Пример и партнёры <a@b.example>', 'root@localhost'],
    [
      'nobody',
      'Example <>',
      'Example <a@b.example>, Other <c@d.example>',
      'a@b.example, c@d.example',
      'Example\nBcc: x <a@b.example>',
      'a@b.example\r\nBcc: c@d.example',
      'Line\u2028Separator <a@b.example>',
      '<a@b.example',
    ],
  ],
  [
    'APP_URL',
    ['https://app.example.com/{page}#token={token}', 'http://localhost:5173/#/{page}/{token}'],
    [
      'https://app.example.com/{page}?token={token}',
      'https://app.example.com/{page}/{token}',
      'https://app.example.com/#token={token}',
      'https://app.example.com/{page}#',
      'https://{page}.example.com/#{token}',
      'https://u:p@app.example.com/{page}#{token}',
      'javascript:{page}#{token}',
      '{page}#{token}',
      'https://app.example.com/{page}#{token}{token}',
    ],
  ],
])('%s', (name, good, bad) => {
  const others = { ...development, ...(name === 'SMTP_URL' ? { MAIL_FROM: smtp.MAIL_FROM } : {}) }
  test.each(good)('takes %j', (value) => expect(faultsOf({ ...others, [name]: value })).toEqual([]))
  test.each(bad)('refuses %j', (value) => expect(faultsOf({ ...others, [name]: value })).toEqual([name]))
})
