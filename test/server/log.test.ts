import { describe, expect, test } from 'vitest'
import { createLog } from '../../src/log.ts'
import { createTestApp, TEST_PASSWORD } from '../support/app.ts'

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
    ['an access token in a message', JWT],
    ['a bearer credential', 'Bearer marker-marker'],
    ['a password hash', '$argon2id$v=19$m=19456,t=2,p=1$bWFya2Vy$bWFya2Vy'],
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

describe('requests', () => {
  test('one line each, with the pattern and never the path or the query string', async () => {
    await using t = await createTestApp()
    const { accessToken, userId } = await t.signUp()
    t.logs.length = 0
    const id = '019f2b6e-6c1a-7c40-9d0e-2f6f4f1c9a55'
    const answer = await t.inject({
      method: 'DELETE',
      url: `/sessions/${id}?marker=marker`,
      headers: { authorization: `Bearer ${accessToken}`, 'user-agent': 'marker\u2028' },
    })
    await t.inject({ url: '/marker' })
    const lines = t.logs.filter(({ msg }) => msg === 'request')
    expect(t.logs).toHaveLength(2)
    expect(lines[0]).toMatchObject({
      level: 'info',
      requestId: answer.headers['x-request-id'],
      method: 'DELETE',
      route: '/sessions/:id',
      status: 404,
      code: 'not_found',
      address: '127.0.0.1',
      userId,
      familyId: expect.any(String),
      ms: expect.any(Number),
    })
    expect(lines[1]).toMatchObject({ method: 'GET', route: 'none', status: 404, code: 'not_found' })
    expect(JSON.stringify(t.logs)).not.toContain('marker')
  })

  test('whose session a sign-in and a refresh belong to', async () => {
    await using t = await createTestApp()
    const { refreshToken, userId } = await t.signUp()
    await t.refresh(refreshToken)
    const [login, refresh] = t.logs.filter(({ msg, route }) => msg === 'request' && route !== '/register')
    expect(login).toMatchObject({ route: '/login', status: 200, userId, familyId: expect.any(String) })
    expect(refresh).toMatchObject({ route: '/refresh', status: 200, userId, familyId: login?.familyId })
  })

  test('the reason of a refusal is in the line and not in the reply', async () => {
    await using t = await createTestApp()
    const { accessToken } = await t.signUp()
    t.travel(3600)
    const answer = await t.inject({ url: '/me', headers: { authorization: `Bearer ${accessToken}` } })
    expect(answer.statusCode).toBe(401)
    expect(t.logs.at(-1)).toMatchObject({ status: 401, code: 'invalid_token', reason: expect.any(String) })
    expect(answer.body).not.toContain(String(t.logs.at(-1)?.reason))
  })

  test('no password, token or cookie of a whole session is logged', async () => {
    await using t = await createTestApp({ env: { LOG_LEVEL: 'trace' } })
    const password = 'marker marker marker'
    const { email, refreshToken, accessToken } = await t.signUp(undefined, password)
    const again = await t.refresh(refreshToken)
    await t.refresh(refreshToken, { via: 'cookie' })
    await t.login({ email, password: `${password}!` })
    await t.inject({
      method: 'POST',
      url: '/login',
      headers: { 'content-type': 'application/json' },
      payload: `{"email":"x","password":"${password}"`,
    })
    await t.inject({
      method: 'POST',
      url: `/login?password=${encodeURIComponent(password)}`,
      headers: { 'content-type': 'application/json' },
      payload: '{}',
    })
    const all = JSON.stringify(t.logs)
    for (const secret of [
      password,
      'marker',
      refreshToken,
      accessToken,
      again.json<{ refresh_token: string }>().refresh_token,
    ])
      expect(all).not.toContain(secret)
    expect(all).not.toContain(TEST_PASSWORD)
  })
})

test('no name that a client has chosen is logged or repeated', async () => {
  await using t = await createTestApp({ env: { TRUSTED_PROXIES: '10.0.0.0/8' } })
  const user = await t.signUp()
  const marker = 'Hunter2marker'
  const bearer = { authorization: `Bearer ${user.accessToken}` }
  const json = { 'content-type': 'application/json' }
  const origin = t.config.ISSUER
  const send = (method: string, url: string, headers: Record<string, string>, payload?: unknown) =>
    t.inject({
      method,
      url,
      headers: { ...(payload === undefined ? {} : json), ...headers },
      ...(payload === undefined ? {} : { payload: typeof payload === 'string' ? payload : JSON.stringify(payload) }),
    })
  t.logs.length = 0
  const answers = []
  const routes = ['POST /register', 'POST /login', 'POST /refresh', 'POST /logout', 'POST /password', 'GET /me']
  routes.push('GET /sessions', 'DELETE /sessions', `DELETE /sessions/${marker}`, 'GET /livez', `GET /${marker}`)
  for (const route of routes) {
    const [method = '', url = ''] = route.split(' ')
    answers.push(
      await send(method, `${url}?${marker}=1`, bearer),
      await send(method, `${url}?${marker}=1&${marker}=2`, bearer),
      await send(method, `${url}?password_${marker}[${marker}]=1`, bearer),
      await send(method, url, { ...bearer, [marker]: marker, cookie: `${marker}=${marker}`, 'user-agent': marker }),
      await send(method, url, { 'x-forwarded-for': marker, 'x-request-id': marker, authorization: `${marker} x` }),
      await send(method, url, { authorization: `Bearer ${marker}.${marker}.${marker}`, 'idempotency-key': marker }),
      await send(method, url, { ...bearer, 'content-type': `text/${marker}` }, marker),
      await send(method, url, { ...bearer, 'content-encoding': marker }, '{}'),
      await send(method, url, { ...bearer, origin: `https://${marker}.example` }),
      await send(method, url, { ...bearer, host: `${marker}.example`, expect: marker }),
    )
    if (method === 'GET') continue
    const valid = { email: user.email, password: user.password, current_password: 'x', new_password: 'y' }
    for (const body of [
      { [marker]: 1 },
      { ...valid, [marker]: 1 },
      { ...valid, client_id: marker },
      { ...valid, audience: { [marker]: 1 } },
      { ...valid, audience: [marker, { [marker]: 1 }] },
      { ...valid, scope: marker, audience: marker },
      { email: { [marker]: marker }, password: user.password },
      { refresh_token: { [marker]: 1 } },
      { refresh_token: marker, client_id: marker },
      `{"${marker}": ${marker}}`,
      `{"${marker}": 1, "${marker}": 2}`,
      `{"a": {"__proto__": "${marker}"}}`,
      `"${marker}"`,
    ])
      answers.push(await send(method, url, { ...bearer, origin }, body))
  }
  for (const { body, headers } of answers) expect(body + JSON.stringify(headers)).not.toContain(marker)
  expect(t.logs.length).toBeGreaterThanOrEqual(answers.length)
  expect(JSON.stringify(t.logs).toLowerCase()).not.toContain(marker.toLowerCase())
})
