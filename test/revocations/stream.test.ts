import { expect, test } from 'vitest'
import { createTestApp } from '../support/app.ts'
import { type ListClaims, openStream, readList, revoke, revokeSessions, verified } from './support.ts'

const USER = '5e0c1f4e-8c52-4f55-b6c1-0d2f3a4b5c6d'
const SESSION = '9b2e7d10-1111-4222-8333-444455556666'

test('greets with a heartbeat, and sends what is revoked as security events', async () => {
  await using t = await createTestApp()
  await revokeSessions(t, 3)
  await using stream = await openStream(await t.listen(), { origin: 'https://anybody.example' })
  expect(stream.status).toBe(200)
  expect(Object.fromEntries(stream.headers)).toMatchObject({
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'access-control-allow-origin': '*',
    'x-accel-buffering': 'no',
    'x-content-type-options': 'nosniff',
  })
  const greeting = await stream.next('heartbeat')
  const { epoch, ...view } = await verified<ListClaims>(t, greeting.data, 'revocations+jwt')
  expect(view).toMatchObject({ seq: 3, ttl: 2, revocations: [] })
  expect(greeting.id).toBe(`${epoch}.3`)

  await revoke(t, { kind: 'session', sid: SESSION, userId: USER })
  const event = await stream.next('revocation')
  expect(event.id).toBe(`${epoch}.4`)
  const { iat, revocation, ...claims } = await verified<Record<string, unknown>>(t, event.data, 'secevent+jwt')
  const [, , , listed] = (await readList(t)).revocations
  expect(revocation).toEqual(listed)
  expect(iat).toBeLessThanOrEqual(t.deps.clock().getTime() / 1000)
  expect(claims).toEqual({
    iss: t.config.ISSUER,
    jti: `${epoch}.4`,
    epoch,
    sub_id: {
      format: 'complex',
      user: { format: 'iss_sub', iss: t.config.ISSUER, sub: USER },
      session: { format: 'opaque', id: SESSION },
    },
    events: {
      'https://schemas.openid.net/secevent/caep/event-type/session-revoked': {
        event_timestamp: listed?.revoked_at,
        initiating_entity: 'admin',
      },
    },
  })
})
