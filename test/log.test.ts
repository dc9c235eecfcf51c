import { describe, expect, test } from 'vitest'
import { createLog, wholeLine } from '../src/log.ts'

/** What the logger writes for one call. */
function written(call: (log: ReturnType<typeof createLog>) => void): string {
  let text = ''
  call(createLog({ LOG_LEVEL: 'trace' }, { write: (line) => (text += line) }))
  return text
}

const REFRESH = `rt1_${'A'.repeat(97)}`
const JWT = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtYXJrZXIifQ.bWFya2VyLW1hcmtlcg'

describe('secrets', () => {
  test.each([
    ['a refresh token in a message', REFRESH],
    ['a device token in a message', `dt1_${'A'.repeat(72)}`],
    ['a secret of a service in a message', `cvs1_${'A'.repeat(48)}`],
    ['an access token in a message', JWT],
    ['a bearer credential', 'Bearer marker-marker'],
    ['a password hash', '$argon2id$v=19$m=19456,t=2,p=1$bWFya2Vy$bWFya2Vy'],
    ['a hash of bcrypt', '$2b$10$CCCCCCCCCCCCCCCCCCCCC.marker'],
    ['a hash of PBKDF2', '$pbkdf2-sha256$i=10$bWFya2Vy$marker'],
    ['a database URL', 'postgres://claviger:marker@db/claviger'],
    ['a private key', '-----BEGIN PRIVATE KEY-----\nmarker'],
  ])('%s', (_, secret) => {
    for (const call of [
      (log: ReturnType<typeof createLog>) => log.info(`before ${secret}`),
      (log: ReturnType<typeof createLog>) => log.info({ nested: { text: secret } }, 'x'),
      (log: ReturnType<typeof createLog>) => log.error(new Error(`before ${secret}`)),
    ]) {
      const line = written(call)
      expect(line).toContain('[redacted]')
      expect(line).not.toMatch(/marker|A{20}|bWFya2Vy/)
    }
  })

  test.each([
    'password',
    'new_password',
    'refresh_token',
    'access_token',
    'device_token',
    'cookie',
    'set-cookie',
    'Authorization',
    'client_secret',
    'CLAVIGER_SECRET',
    'headers',
    'body',
    'query',
  ])('a member named %s, at any depth', (name) => {
    const line = written((log) => log.info({ [name]: 'marker', a: { b: [{ [name]: { c: 'marker' } }] } }, 'x'))
    expect(line).not.toContain('marker')
  })

  test('requests and replies are never serialised', () => {
    expect(written((log) => log.info({ req: { headers: 'marker' }, res: 'marker' }, 'x'))).not.toContain('marker')
  })
})

describe('errors', () => {
  test('what PostgreSQL quotes of rows is left out, what names the fault stays', () => {
    const error = Object.assign(new Error('duplicate key value violates unique constraint "users_email_key"'), {
      code: '23505',
      constraint: 'users_email_key',
      detail: 'Key (email)=(marker@example.com) already exists.',
      where: 'marker',
      parameters: ['marker'],
    })
    const line = written((log) => log.error({ err: new Error('outer', { cause: error }), other: error }, 'x'))
    expect(line).not.toContain('marker')
    const { err } = JSON.parse(line) as { err: { stack: string; cause: object } }
    expect(err.cause).toMatchObject({ code: '23505', constraint: 'users_email_key' })
    expect(err.stack).toContain('log.test.ts')
  })

  test('messages that quote their input are withheld, also from msg and stack', () => {
    const data = Object.assign(new Error('invalid input syntax for type uuid: "marker"'), { code: '22P02' })
    let syntax: unknown
    try {
      JSON.parse('marker')
    } catch (error) {
      syntax = error
    }
    for (const error of [data, syntax]) {
      expect(written((log) => log.error(error))).not.toContain('marker')
      expect(written((log) => log.error({ err: error }))).not.toContain('marker')
    }
  })
})

test('one line per entry, whatever is in it; nothing on it hides or reorders text', () => {
  const hostile = 'a\r\nb\u001b[2Kc\u2028d\u2029e\u202ef\u2066g\u200bh\u009bi\u0085j'
  const line = written((log) => log.info({ [hostile]: hostile }, hostile))
  expect(line.match(/\n/g)).toHaveLength(1)
  const deceptive = [...line.trimEnd()].filter((char) => /\p{Cc}|\p{Cf}|\p{Zl}|\p{Zp}/u.test(char))
  expect(deceptive).toEqual([])
  expect((JSON.parse(line) as { msg: string }).msg).toBe(hostile)
})

test.each([
  ['a long stack', { err: { stack: 'at somewhere\n'.repeat(1000) } }],
  ['many members', Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`m${index}`, 'x'.repeat(300)]))],
  ['signs of several bytes', { text: '…'.repeat(3000), other: '\u202e'.repeat(3000) }],
])('a line that others could tear apart is shortened: %s', (_what, members) => {
  const line = `${JSON.stringify({ level: 'info', time: new Date().toISOString(), ...members, msg: 'so it was' })}\n`
  const whole = wholeLine(line)
  expect(Buffer.byteLength(whole)).toBeLessThanOrEqual(4096)
  expect(whole).toMatch(/^\{.*\}\n$/)
  expect(Object.keys(JSON.parse(whole) as object)).toEqual(Object.keys(JSON.parse(line) as object))
  expect(wholeLine(whole)).toBe(whole)
})
