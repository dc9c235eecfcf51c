import { execFile } from 'node:child_process'
import { createPublicKey, verify } from 'node:crypto'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { createTestApp } from '../support/app.ts'

const run = promisify(execFile)

/** A service of somebody else: knows the issuer's URL and its own name, and jose. */
const SERVICE = `
import { createRemoteJWKSet, jwtVerify } from 'jose'
const [issuer, jwksUri, token] = process.argv.slice(1)
const { payload, protectedHeader } = await jwtVerify(token, createRemoteJWKSet(new URL(jwksUri)), {
  issuer, audience: 'orders', algorithms: ['RS256'], typ: 'at+jwt',
})
console.log(JSON.stringify({ sub: payload.sub, kid: protectedHeader.kid }))
`

test('jose in another process verifies an access token over the network, with the issuer’s URL alone', async () => {
  await using t = await createTestApp({ env: { AUDIENCE: 'orders,billing' } })
  const url = await t.listen()
  const { accessToken, userId } = await t.signUp()
  const metadata = (await (await fetch(`${url}/.well-known/oauth-authorization-server`)).json()) as Record<
    'issuer' | 'jwks_uri',
    string
  >
  const jwksUri = new URL(new URL(metadata.jwks_uri).pathname, url).href
  const { stdout } = await run(process.execPath, [
    '--input-type=module',
    '-e',
    SERVICE,
    metadata.issuer,
    jwksUri,
    accessToken,
  ])
  expect(JSON.parse(stdout)).toMatchObject({ sub: userId, kid: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/) })

  const other = (await t.login({ email: 'nobody@example.com', password: 'x'.repeat(9) })).statusCode
  expect(other).toBe(401)
  const tampered = accessToken.replace(
    /\.[^.]+\./,
    (payload) => `${payload.slice(0, 20)}${payload[20] === 'A' ? 'B' : 'A'}${payload.slice(21)}`,
  )
  await expect(
    run(process.execPath, ['--input-type=module', '-e', SERVICE, metadata.issuer, jwksUri, tampered]),
  ).rejects.toThrow()
})

test('plain node:crypto verifies an access token from the JWK Set alone', async () => {
  await using t = await createTestApp()
  const { accessToken } = await t.signUp()
  const { keys } = (await t.inject({ method: 'GET', url: '/.well-known/jwks.json' })).json()
  const [header, payload, signature] = accessToken.split('.') as [string, string, string]
  const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString())
  const key = createPublicKey({ key: keys.find((each: { kid: string }) => each.kid === kid), format: 'jwk' })
  const check = (text: string) => verify('RSA-SHA256', Buffer.from(text), key, Buffer.from(signature, 'base64url'))
  expect(check(`${header}.${payload}`)).toBe(true)
  expect(check(`${header}.${payload}x`)).toBe(false)
})
