import { expect, test, vi } from 'vitest'
import { createTestApp } from '../support/app.ts'

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
    err: { type: 'TypeError', stack: expect.stringContaining('errors.test.ts') },
  })

  expect((await t.inject({ url: '/me', headers })).statusCode).toBe(200)
})
