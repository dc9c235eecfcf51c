import { decodeJwt } from 'jose'
import { expect, test } from 'vitest'
import { disableClient } from '../../src/oauth/disable-client.ts'
import { disableUser } from '../../src/users/accounts.ts'
import { addPublicClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { byOperator } from '../support/operation.ts'
import { bearer, granted, logout, refresh, register, type SignedIn, signIn, startApp, stopClock } from './support.ts'

// What a verifier must be able to hear of: as long as an access token of a session may live, the session can be ended.

const LONGEST = 3600
const IDLE = 600
const TOKEN = 900
const t = forFile(
  await startApp({
    REMEMBER_MAX_SECONDS: String(LONGEST),
    REMEMBER_IDLE_SECONDS: String(IDLE),
    ACCESS_TOKEN_SECONDS: String(TOKEN),
  }),
)
const travel = stopClock(t)

const byOauth = (token: string) =>
  t.inject({
    method: 'POST',
    url: '/oauth/token',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: String(new URLSearchParams({ grant_type: 'refresh_token', client_id: 'native', refresh_token: token })),
  })

/** A session just before its absolute end. @returns its refresh token. */
async function nearEnd(secondsLeft: number): Promise<string> {
  let { token } = await signIn(t, await register(t))
  let left = LONGEST
  for (; left - IDLE / 2 > secondsLeft; left -= IDLE / 2) {
    travel(IDLE / 2)
    token = granted(await refresh(t, 'body', token))
  }
  travel(left - secondsLeft)
  return token
}

test.each([
  ['/refresh', (token: string) => refresh(t, 'body', token)],
  ['/oauth/token', byOauth],
])('by %s, no access token outlives the absolute end of its session', async (_path, exchange) => {
  for (const [left, life] of [
    [TOKEN + 1, TOKEN],
    [TOKEN, TOKEN],
    [TOKEN - 1, TOKEN - 1],
    [1, 1],
    // Less than the second that `iat` and `exp` can tell.
    [0.5, 1],
  ] as const) {
    const answer = await exchange(await nearEnd(left))
    expect(answer.statusCode).toBe(200)
    const { access_token, expires_in } = answer.json()
    const { iat, exp } = decodeJwt(access_token)
    expect([expires_in, Number(exp) - Number(iat)]).toEqual([life, life])
    // The clock goes on in whole seconds.
    travel(1 - (left % 1))
  }
})

test('nor one of the sign-in', async () => {
  const { clientId } = await addPublicClient(t, { type: 'native', rememberIdleSeconds: 60, rememberMaxSeconds: 60 })
  const user = await register(t)
  const { answer, accessToken } = await signIn(t, user, 'body', { client_id: clientId })
  const { iat, exp } = decodeJwt(accessToken)
  expect([answer.json().expires_in, Number(exp) - Number(iat)]).toEqual([60, 60])
})

test.each<[string, (session: SignedIn, userId: string, own: string) => Promise<unknown>]>([
  ['its user ends it', async ({ sid }, _userId, own) => bearer(t, own, `/sessions/${sid}`, 'DELETE')],
  ['its user ends all', async (_session, _userId, own) => bearer(t, own, '/sessions', 'DELETE')],
  ['it is logged out', async ({ token }) => logout(t, 'body', token)],
  ['the account is disabled', async (_session, userId) => disableUser(t.deps, byOperator(t.deps), userId)],
])('past its idle end, if %s, verifiers hear of it', async (_how, end) => {
  const user = await register(t)
  const idle = await signIn(t, user)
  travel(IDLE + 1)
  const { accessToken } = await signIn(t, user)
  await end(idle, user.id, accessToken)
  const told = await t.db.selectFrom('revocations').select('kind').where('sid', '=', idle.sid).execute()
  expect(told).toEqual([{ kind: 'session' }])
})

test('past its idle end, if its client is disabled or it is revoked by an access token, verifiers hear of it', async () => {
  const { clientId } = await addPublicClient(t, { type: 'native' })
  const user = await register(t)
  const [idle, other] = [await signIn(t, user, 'body', { client_id: clientId }), await signIn(t, user)]
  travel(IDLE + 1)
  await t.inject({
    method: 'POST',
    url: '/oauth/revoke',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: String(new URLSearchParams({ client_id: 'native', token: other.accessToken })),
  })
  await disableClient(t.deps, byOperator(t.deps), { id: clientId, type: 'native' })
  const told = await t.db.selectFrom('revocations').select('sid').where('sub', '=', user.id).execute()
  expect(told.map(({ sid }) => String(sid)).toSorted()).toEqual([idle.sid, other.sid].toSorted())
})
