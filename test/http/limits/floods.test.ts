import { expect, test } from 'vitest'
import { createTestApp } from '../../support/app.ts'
import { atOnce } from '../../support/at-once.ts'

// A lower bound of time only: what waits for its turn cannot be quicker, however quick the machine is.

test.each([
  ['/logout', 'POST', {}],
  ['/me', 'GET', { authorization: 'Bearer nonsense' }],
] as const)('refusals of one address go out at a pace: %s', async (url, method, headers) => {
  await using t = await createTestApp({
    env: { RATE_LIMIT_LOGOUT_PER_MINUTE: '1', RATE_LIMIT_ACCOUNT_PER_MINUTE: '1' },
  })
  const ask = () => t.inject({ method, url, headers: { origin: t.config.ISSUER, ...headers } })
  await ask()
  const started = performance.now()
  const answers = await atOnce(100, ask)
  expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([429]))
  expect(performance.now() - started).toBeGreaterThan(350)
})
