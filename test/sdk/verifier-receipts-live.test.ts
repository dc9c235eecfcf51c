import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { createVerifier } from '../../sdk/verifier/src/index.ts'
import { run } from '../cli/support.ts'
import { newSigner, seconds } from '../oauth/signer.ts'
import { createTestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import { sidOf } from '../support/jwt.ts'
import { freePort } from '../support/server.ts'

const patience = { timeout: 10_000 }

test('what a service reports is what its operator is told', async () => {
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  await using t = await createTestApp({ env: { ISSUER: issuer } })
  await t.app.listen({ host: '127.0.0.1', port })
  const { clientId, secret } = await addServiceClient(t, { name: 'orders' })
  const told = async (...args: string[]) => (await run(args, { env: t.env })).out
  const client = { id: clientId, secret, instance: 'web-1:812' }
  const verify = createVerifier({ issuer, audience: issuer, revocations: {}, client })
  try {
    await verify.ready()
    await expect.poll(() => told('verifiers'), patience).toMatch(/^orders +web-1:812 +current +.* all$/m)

    const { accessToken, refreshToken } = await t.signUp()
    await verify(accessToken)
    const headers = { 'content-type': 'application/json' }
    await t.inject({
      method: 'POST',
      url: '/logout',
      headers,
      payload: JSON.stringify({ refresh_token: refreshToken }),
    })
    const why = () => told('sessions', 'why', sidOf(accessToken))
    await expect.poll(why, patience).toContain('All services that report have heard of it: 1 instance.')
    await expect(verify(accessToken)).rejects.toMatchObject({ check: 'revoked' })
    expect(await run(['verifiers', '--check', '--session', sidOf(accessToken)], { env: t.env })).toMatchObject({
      code: 0,
    })

    await run(['clients', 'disable', 'orders'], { env: t.env })
    expect(await told('verifiers')).toBe('No service has reported within a day.\n')
  } finally {
    verify.close()
  }
})

test('a service without a secret follows the feed as a client, reports and asks about tokens', async () => {
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  await using t = await createTestApp({ env: { ISSUER: issuer } })
  await t.app.listen({ host: '127.0.0.1', port })
  const signer = newSigner()
  const { clientId: id } = await addServiceClient(t, {
    name: 'ledger',
    auth: { method: 'private_key_jwt', jwks: { keys: [signer.jwk] } },
  })
  const assertion = () =>
    signer.sign({ iss: id, sub: id, aud: issuer, exp: seconds(t.deps.clock) + 60, jti: randomUUID() })
  const errors: Error[] = []
  let ahead = 0
  const verify = createVerifier({
    issuer,
    audience: issuer,
    revocations: { onStale: 'introspect' },
    client: { id, assertion, instance: 'ledger-1' },
    onRefreshError: (error) => void errors.push(error),
    now: () => Date.now() + ahead,
  })
  try {
    await verify.ready()
    const told = async () => (await run(['verifiers'], { env: t.env })).out
    await expect.poll(told, patience).toMatch(/^ledger +ledger-1 +current +.* all$/m)
    await expect.poll(() => verify.revocations().state, patience).toBe('streaming')
    const { accessToken } = await t.signUp()
    // To a clock that was set forth the view is old.
    ahead = 20_000
    expect(verify.revocations().state).toBe('stale')
    await verify(accessToken)
    expect(errors).toEqual([])
  } finally {
    verify.close()
  }
})
