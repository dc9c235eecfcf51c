import { describe, expect, test, vi } from 'vitest'
import { createTestApp } from '../../support/app.ts'
import { createHttpApp } from '../support.ts'
import { surface } from '../surface.ts'

const t = await createHttpApp(surface)

describe('problems', () => {
  test('carry detail and Retry-After in whole seconds', async () => {
    const answer = await t.app.inject('/problem')
    expect(answer.headers['retry-after']).toBe('2')
    expect(answer.json().detail).toBe('Slow down.')
    expect([answer.headers.ratelimit, answer.headers['ratelimit-policy']]).toEqual([undefined, undefined])
    const outage = await t.app.inject('/outage')
    expect(outage.headers['retry-after']).toBe('1')
    expect(outage.json().code).toBe('unavailable')
  })

  test('with status 401 carry a challenge', async () => {
    const answer = await t.app.inject({ url: '/refused', headers: { authorization: 'Bearer x' } })
    expect(answer.statusCode).toBe(401)
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="https://auth.example.com"')
  })

  test('that nobody foresaw are logged once, with the stack', async () => {
    t.logs.length = 0
    const answer = await t.app.inject('/boom')
    expect(answer.json().code).toBe('internal')
    const lines = t.logs.filter((line) => JSON.stringify(line).includes('the secret detail'))
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({ level: 'error', err: { stack: expect.stringContaining('surface.ts') } })
  })
})

test('an error that nobody foresaw is answered 500 without a word about it, logged once with its stack, and survived', async () => {
  await using t = await createTestApp()
  const { accessToken } = await t.signUp()
  const headers = { authorization: `Bearer ${accessToken}` }
  vi.spyOn(t.deps, 'clock').mockImplementationOnce(() => {
    throw new TypeError('marker is not a function')
  })
  t.logs.length = 0
  const answer = await t.inject({ url: '/me', headers })
  expect(answer.statusCode).toBe(500)
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/)
  expect(answer.headers['cache-control']).toBe('no-store')
  expect(answer.json()).toEqual({
    type: expect.any(String),
    title: expect.any(String),
    status: 500,
    code: 'internal',
    instance: answer.headers['x-request-id'],
  })
  expect(answer.body).not.toContain('marker')

  const errors = t.logs.filter(({ level }) => level === 'error')
  expect(errors).toHaveLength(1)
  expect(errors[0]).toMatchObject({
    requestId: answer.headers['x-request-id'],
    err: { type: 'TypeError', stack: expect.stringContaining('problems.test.ts') },
  })

  expect((await t.inject({ url: '/me', headers })).statusCode).toBe(200)
})
