import { expect, test } from 'vitest'
import { rotateKeys } from '../../src/keys/operator.ts'
import { disableUser, enableUser } from '../../src/users/accounts.ts'
import { setRoles } from '../../src/users/rights.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { byOperator } from '../support/operation.ts'

const AGENT = { 'user-agent': 'a browser/1.0' }

async function trail(t: TestApp) {
  return await t.db.selectFrom('audit').selectAll().orderBy('seq').execute()
}

test('the audit trail tells who did what, when, from where and with what outcome, for successes and failures', async () => {
  await using t = await createTestApp()
  const { email, password, userId, accessToken, refreshToken } = await t.signUp()
  await t.login({ email, password: 'not the right phrase' }, AGENT)
  await t.login({ email: 'nobody@example.com', password: 'not the right phrase' }, AGENT)
  await t.register(email, password)

  const bearer = { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json', ...AGENT }
  const change = (current: string) =>
    t.inject({
      method: 'POST',
      url: '/password',
      headers: bearer,
      payload: JSON.stringify({ current_password: current, new_password: 'five louder otters sing' }),
    })
  expect((await change('not the right phrase')).statusCode).toBe(401)
  expect((await change(password)).statusCode).toBe(204)

  const next = (await t.refresh(refreshToken)).json().refresh_token as string
  await t.refresh(next, { body: { client_id: 'web' } })
  t.travel(60)
  await t.refresh(refreshToken)

  const again = (await t.login({ email, password: 'five louder otters sing' }, AGENT)).json()
  await t.inject({
    method: 'POST',
    url: '/logout',
    headers: { 'content-type': 'application/json', ...AGENT },
    payload: JSON.stringify({ refresh_token: again.refresh_token }),
  })
  await disableUser(t.deps, byOperator(t.deps), userId)
  await enableUser(t.deps, byOperator(t.deps), userId)
  await setRoles(t.deps, byOperator(t.deps), userId, ['admin'])
  await rotateKeys(t.deps, byOperator(t.deps), { compromised: false })

  const rows = await trail(t)
  expect(rows.map((row) => [row.type, row.outcome, row.reason, row.actor].filter(Boolean).join(' '))).toEqual(
    expect.arrayContaining([
      'user.registered success anonymous',
      'user.registered failure email_taken anonymous',
      `login success user:${userId}`,
      'login failure wrong_password anonymous',
      'login failure unknown_user anonymous',
      `password.changed failure wrong_password user:${userId}`,
      `password.changed success user:${userId}`,
      'refresh.refused failure wrong_client anonymous',
      'refresh.reuse_detected failure late_retry anonymous',
      'session.ended success reuse_detected server',
      `session.ended success logout user:${userId}`,
      'user.disabled success operator:ada',
      'user.enabled success operator:ada',
      'user.roles_changed success operator:ada',
      'key.created success operator:ada',
    ]),
  )
  const ofRequests = rows.filter((row) => row.actor.startsWith('user:') || row.actor === 'anonymous')
  for (const row of ofRequests) {
    expect(row.at).toBeInstanceOf(Date)
    expect(row.request_id).toMatch(/^[0-9a-f-]{36}$/)
    expect(row.address).toBe('127.0.0.1')
    expect(row.user_agent === null || row.user_agent.length <= 256).toBe(true)
  }
  const login = rows.find((row) => row.type === 'login' && row.outcome === 'success')
  expect(login).toMatchObject({
    user_id: userId,
    client_id: 'native',
    family_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
  })
  const failed = rows.find((row) => row.reason === 'unknown_user')
  expect(failed?.user_agent).toBe('a browser/1.0')
  // What was typed into the e-mail field may be a password: only its HMAC is kept.
  expect(JSON.stringify(rows)).not.toContain('nobody@example.com')
})

test('an event and the change it speaks of are one transaction: neither exists without the other', async () => {
  await using t = await createTestApp()
  const { userId, refreshToken } = await t.signUp()
  await t.db.schema.alterTable('audit').renameTo('audit_gone').execute()
  await expect(disableUser(t.deps, byOperator(t.deps), userId)).rejects.toThrow()
  expect((await t.refresh(refreshToken)).statusCode).toBe(200)
  await t.db.schema.alterTable('audit_gone').renameTo('audit').execute()
  expect((await t.db.selectFrom('users').select('disabled_at').executeTakeFirstOrThrow()).disabled_at).toBeNull()
})

test('refusals that a stranger can order again and again are one row a minute, with a count', async () => {
  await using t = await createTestApp({ env: { TRUSTED_PROXIES: '127.0.0.1' } })
  const { email, password, accessToken, refreshToken } = await t.signUp()
  const start = Math.ceil(t.deps.clock().getTime() / 60_000) * 60_000
  t.deps.clock = () => new Date(start)
  const json = { 'content-type': 'application/json' }
  const from = (address: string) => ({ ...json, 'x-forwarded-for': address })
  const requests = [
    { url: '/logout', headers: { cookie: `__Host-refresh_token=${refreshToken}`, origin: t.config.ISSUER } },
    { url: '/refresh', headers: json, payload: { refresh_token: refreshToken, client_id: 'web' } },
    { url: '/register', headers: json, payload: { email, password } },
    { url: '/login', headers: from('192.0.2.1'), payload: { email, password: 'not the right phrase' } },
    { url: '/login', headers: from('192.0.2.2'), payload: { email, password: 'not the right phrase' } },
    {
      url: '/password',
      headers: { ...json, authorization: `Bearer ${accessToken}` },
      payload: { current_password: 'not the right phrase', new_password: 'five louder otters sing' },
    },
  ]
  for (let i = 0; i < 20; i++) for (const request of requests) await t.inject({ method: 'POST', ...request })
  await t.deps.tally.flush(t.deps.clock())

  const rows = (await trail(t)).filter(({ outcome }) => outcome === 'failure')
  const found = rows.map(
    ({ type, reason, address, details }) => `${type} ${reason} ${address} ${Number(details.count)}`,
  )
  expect(found.toSorted()).toEqual([
    'login backoff 192.0.2.1 18',
    'login backoff 192.0.2.2 18',
    'login wrong_password 192.0.2.1 2',
    'login wrong_password 192.0.2.2 2',
    'password.changed backoff 127.0.0.1 19',
    'password.changed wrong_password 127.0.0.1 1',
    'refresh.refused wrong_client 127.0.0.1 20',
    'refresh.refused wrong_delivery 127.0.0.1 20',
    'user.registered email_taken 127.0.0.1 20',
  ])
})

test('a long user agent is cut to 256 characters', async () => {
  await using t = await createTestApp()
  const { email, password } = await t.signUp()
  await t.login({ email, password }, { 'user-agent': 'x'.repeat(1000) })
  const longest = Math.max(...(await trail(t)).map((row) => row.user_agent?.length ?? 0))
  expect(longest).toBe(256)
})
