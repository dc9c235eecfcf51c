import { describe, expect, test } from 'vitest'
import { createHttpApp } from '../support.ts'
import { surface } from '../surface.ts'

const t = await createHttpApp(surface)

describe('problems', () => {
  test('carry detail and Retry-After in whole seconds', async () => {
    const answer = await t.app.inject('/problem')
    expect(answer.headers['retry-after']).toBe('2')
    expect(answer.json().detail).toBe('Slow down.')
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
