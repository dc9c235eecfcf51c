import { expect, test } from 'vitest'
import { createTestApp, TEST_PASSWORD } from '../../support/app.ts'
import { createHttpApp } from '../support.ts'

const SOME = 400

/** The request lines of so many successes and refusals. */
async function lines(sample: string) {
  await using t = await createHttpApp(
    (app) => {
      app.get('/fine', { config: { access: 'public' } }, () => 'fine')
    },
    { env: { LOG_SUCCESS_SAMPLE: sample } },
  )
  t.logs.length = 0
  for (let sent = 0; sent < SOME; sent++) {
    await t.app.inject('/fine')
    await t.app.inject('/missing')
  }
  const requests = t.logs.filter(({ msg }) => msg === 'request')
  const { values } = await t.metrics.requestSeconds.get()
  return {
    successes: requests.filter(({ status }) => status === 200),
    refusals: requests.filter(({ status }) => status === 404),
    measured: values.find(
      ({ metricName, labels }) => metricName === 'claviger_http_request_seconds_count' && labels.route === '/fine',
    )?.value,
  }
}

test('every request has a line unless told otherwise', async () => {
  const { successes, refusals } = await lines('')
  expect(successes).toHaveLength(SOME)
  expect(refusals).toHaveLength(SOME)
  expect(successes[0]).not.toHaveProperty('sample')
})

test('a share of the successes is logged and says so; refusals always, and all are measured', async () => {
  const { successes, refusals, measured } = await lines('0.25')
  expect(successes.length).toBeGreaterThan(SOME * 0.1)
  expect(successes.length).toBeLessThan(SOME * 0.45)
  expect(successes.every(({ sample }) => sample === 0.25)).toBe(true)
  expect(refusals).toHaveLength(SOME)
  expect(refusals.some((line) => 'sample' in line)).toBe(false)
  expect(measured).toBe(SOME)
})

test('0 logs refusals only', async () => {
  const { successes, refusals } = await lines('0')
  expect(successes).toEqual([])
  expect(refusals).toHaveLength(SOME)
})

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
