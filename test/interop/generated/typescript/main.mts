// Signs in, refreshes and signs out with nothing but what openapi-typescript made of the description.
import { strict as assert } from 'node:assert'
import createClient from 'openapi-fetch'
import type { paths } from './api.d.ts'

const { ISSUER = '', EMAIL = '', PASSWORD = '' } = process.env
const api = createClient<paths>({ baseUrl: ISSUER })

const wrong = await api.POST('/login', { body: { email: EMAIL, password: 'not the one' } })
assert.equal(wrong.response.status, 401)
assert.equal(wrong.error?.code, 'invalid_credentials')

const signedIn = await api.POST('/login', { body: { email: EMAIL, password: PASSWORD, client_id: 'native' } })
assert(signedIn.data?.refresh_token)
assert.equal(signedIn.data.user.email, EMAIL)

const refreshed = await api.POST('/refresh', {
  params: { header: { 'idempotency-key': 'one exchange' } },
  body: { refresh_token: signedIn.data.refresh_token },
})
assert(refreshed.data?.refresh_token)
assert.notEqual(refreshed.data.refresh_token, signedIn.data.refresh_token)

const headers = { authorization: `Bearer ${refreshed.data.access_token}` }
const listed = await api.GET('/sessions', { headers })
assert.deepEqual(
  listed.data?.sessions.map(({ client_id, current }) => [client_id, current]),
  [['native', true]],
)

const signedOut = await api.POST('/logout', { body: { refresh_token: refreshed.data.refresh_token } })
assert.equal(signedOut.response.status, 204)
const late = await api.GET('/me', { headers })
assert.equal(late.error?.code, 'invalid_token')
