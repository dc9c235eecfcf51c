import { get } from 'node:http'
import { expect, test } from 'vitest'
import { rotateKeys } from '../../src/keys/operator.ts'
import { createTestApp } from '../support/app.ts'
import { headerOf } from '../support/jwt.ts'
import { byOperator } from '../support/operation.ts'

/** Over a real connection, for the issuer's host. @returns the status. */
function getMe(base: string, issuer: string, token: string): Promise<number | undefined> {
  const headers = { host: new URL(issuer).host, authorization: `Bearer ${token}` }
  return new Promise((resolve, reject) => {
    get(`${base}/me`, { headers }, (response) => resolve(response.resume().statusCode)).on('error', reject)
  })
}

test('after an emergency our endpoints refuse the old key at once, and refresh tokens live on', async () => {
  await using t = await createTestApp()
  const base = await t.listen()
  const me = (token: string) => getMe(base, t.config.ISSUER, token)
  const { accessToken, refreshToken } = await t.signUp()
  expect(await me(accessToken)).toBe(200)
  await rotateKeys(t.deps, byOperator(t.deps), { compromised: true })
  await t.keys.reload()

  expect(await me(accessToken)).toBe(401)
  const refreshed = await t.refresh(refreshToken)
  expect(refreshed.statusCode).toBe(200)
  const renewed = refreshed.json<{ access_token: string }>().access_token
  expect(headerOf(renewed).kid).not.toBe(headerOf(accessToken).kid)
  expect(await me(renewed)).toBe(200)
})

test('keys and metadata are for everybody, and are served without the database', async () => {
  await using t = await createTestApp()
  await t.db.destroy()
  for (const path of ['jwks.json', 'oauth-authorization-server', 'openid-configuration']) {
    const url = `/.well-known/${path}`
    const response = await t.inject({ url, headers: { origin: 'https://anybody.example' } })
    expect(response.statusCode).toBe(200)
    expect(response.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'cache-control': expect.stringContaining('max-age=300'),
      'cross-origin-resource-policy': 'cross-origin',
      'x-content-type-options': 'nosniff',
    })
    expect(response.headers['access-control-allow-credentials']).toBeUndefined()
    expect((await t.inject({ method: 'HEAD', url })).statusCode).toBe(200)
    const etag = String(response.headers.etag)
    expect((await t.inject({ url, headers: { 'if-none-match': etag } })).statusCode).toBe(304)
    expect((await t.inject({ method: 'POST', url })).statusCode).toBe(405)
  }
})

test('without a key that signs, the server is not ready and issues nothing', async () => {
  await using t = await createTestApp()
  const { email, password } = await t.signUp()
  await t.db.deleteFrom('signing_keys').execute()
  await t.keys.reload()
  expect((await t.inject({ url: '/readyz' })).statusCode).toBe(503)
  const answer = await t.login({ email, password })
  expect(answer.statusCode).toBe(503)
  expect(answer.headers['retry-after']).toBeDefined()
  expect(answer.body).not.toContain('access_token')
})
