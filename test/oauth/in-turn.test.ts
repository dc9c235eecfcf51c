import { sql } from 'kysely'
import { expect, test, vi } from 'vitest'
import { newClientId } from '../../src/clients/identifiers.ts'
import { Problem } from '../../src/errors.ts'
import { createClientAuthentication, SERVICES } from '../../src/oauth/authenticate-client.ts'
import { createSemaphore } from '../../src/semaphore.ts'
import { STRANGERS } from '../../src/sessions/authenticate.ts'
import { createTestApp, refreshTokenOf } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { startForwarder } from '../support/forwarder.ts'
import { countLockWaits } from '../support/lock-waits.ts'
import { byOperator } from '../support/operation.ts'
import { basic, tokenFor } from './authentication.ts'

// However many requests one address has in flight, services and sites elsewhere are served. The line to the database is held up until
// all that is sent waits for it: what is answered first then is a matter of turns.

const FLOOD = 1500
const STRANGER = '192.0.2.66'
const line = forFile(await startForwarder())
const t = forFile(await createTestApp({ line }))
const service = await addServiceClient(t)
const busy = await addServiceClient(t)
const guess = () => basic(newClientId(), 'a guess')

const post = (url: string, remoteAddress: string, authorization: string, headers: Record<string, string> = {}) =>
  t.inject({
    method: 'POST',
    url,
    remoteAddress,
    headers: { 'content-type': 'application/x-www-form-urlencoded', authorization, ...headers },
    payload: 'token=x',
  })

test('who claims to be a client waits in turn with other networks', async () => {
  const semaphore = createSemaphore(SERVICES)
  const authenticateClient = createClientAuthentication(t.deps, semaphore)
  const spendFailure = async () => {
    throw new Problem('too_many_requests')
  }
  const present = (network: string, authorization: string) =>
    authenticateClient(byOperator(t.deps), { authorization, form: {}, network, spendFailure, turnAway: async () => {} })
  let refused = 0
  line.pause()
  const flood = atOnce(FLOOD, () => present(STRANGER, guess()).catch(() => void refused++))
  expect(semaphore.pending()).toBe(FLOOD)
  const right = basic(service.clientId, service.secret)
  const honest = present('198.51.100.1', right).then(({ id }) => ({ id, refused }))
  line.resume()
  const found = await honest
  expect(found.id).toBe(service.clientId)
  expect(found.refused).toBeLessThan(FLOOD / 2)
  await flood
  expect(refused).toBe(FLOOD)
})

/** Until what was sent waits for the database. */
const settled = async () => {
  for (let round = 0; round < 20; round++) await new Promise((resolve) => setImmediate(resolve))
}

test('a service is answered before the questions that another one has sent', async () => {
  let answered = 0
  const question = ({ clientId, secret }: typeof service, address: string) =>
    post('/oauth/introspect', address, basic(clientId, secret))
  line.pause()
  const flood = atOnce(FLOOD, () => question(busy, STRANGER).then(() => void answered++))
  await settled()
  const honest = question(service, '198.51.100.1').then(({ statusCode }) => ({ statusCode, answered }))
  await settled()
  line.resume()
  const found = await honest
  expect(found.statusCode).toBe(200)
  expect(found.answered).toBeLessThan(FLOOD / 2)
  await flood
})

test.each([
  ['client can be looked up', 'ACCESS EXCLUSIVE', '192.0.2.67'],
  ['failure can be written', 'SHARE', '192.0.2.68'],
])('while no %s, people are served', async (_what, mode, stranger) => {
  const { accessToken, refreshToken } = await t.signUp()
  const me = () => t.inject({ method: 'GET', url: '/me', headers: { authorization: `Bearer ${accessToken}` } })
  const asSite = { 'claviger-visitor-address': '203.0.113.5' }
  const flood = await t.db.transaction().execute(async (tx) => {
    await sql`LOCK TABLE client_failures IN ${sql.raw(mode)} MODE`.execute(tx)
    const questions = atOnce(20, () => post('/oauth/introspect', stranger, guess()))
    const visits = atOnce(20, () => post('/oauth/revoke', stranger, guess(), asSite))
    await settled()
    await vi.waitFor(async () => expect(await waitingForLocks()).toBeGreaterThanOrEqual(4), { interval: 10 })
    expect((await me()).statusCode).toBe(200)
    expect((await t.refresh(refreshToken)).statusCode).toBe(200)
    return { questions, visits }
  })
  const answers = [...(await flood.questions), ...(await flood.visits)]
  expect(answers.map(({ statusCode }) => statusCode)).not.toContain(200)
})

const waitingForLocks = () => countLockWaits(t.db)

test('people are looked up in turn with other networks', async () => {
  const { accessToken } = await t.signUp()
  const ask = (remoteAddress: string) =>
    t.inject({ method: 'GET', url: '/me', remoteAddress, headers: { authorization: `Bearer ${accessToken}` } })
  const { find } = t.deps.clients
  const held = Promise.withResolvers<void>()
  const looked = vi.spyOn(t.deps.clients, 'find').mockImplementation(async (id) => {
    await held.promise
    return await find(id)
  })
  let answered = 0
  const flood = atOnce(300, () => ask('192.0.2.69').then(() => void answered++))
  await vi.waitFor(() => expect(looked).toHaveBeenCalledTimes(STRANGERS.permits))
  const honest = ask('198.51.100.2').then(({ statusCode }) => ({ statusCode, answered }))
  // What each takes from a limit first is asked of the database in order, and of a sign-out without a token nothing else is.
  await t.inject({ method: 'POST', url: '/logout', headers: { origin: t.config.ISSUER } })
  await settled()
  held.resolve()
  const found = await honest
  expect(found.statusCode).toBe(200)
  expect(found.answered).toBeLessThan(150)
  await flood
})

test('who finds no room is refused at the pace of refusals', async () => {
  const semaphore = createSemaphore({ permits: 1, queue: 0 })
  const authenticateClient = createClientAuthentication(t.deps, semaphore)
  const turnAway = vi.fn(async () => {})
  const authorization = basic(service.clientId, service.secret)
  const ask = () =>
    authenticateClient(byOperator(t.deps), {
      authorization,
      form: {},
      network: STRANGER,
      spendFailure: async () => {},
      turnAway,
    })
  const first = ask()
  expect(turnAway).not.toHaveBeenCalled()
  await expect(ask()).rejects.toMatchObject({ code: 'unavailable' })
  expect(turnAway).toHaveBeenCalledOnce()
  expect((await first).id).toBe(service.clientId)
})

test('services have so many signatures made at a time, and people have theirs meanwhile', async () => {
  let { refreshToken } = await t.signUp()
  const { sign } = t.deps.keyring
  const threads = Promise.withResolvers<void>()
  let signing = 0
  vi.spyOn(t.deps.keyring, 'sign').mockImplementation(async (typ, claims) => {
    if ('client_id' in claims && claims.client_id === busy.clientId) {
      signing++
      await threads.promise
    }
    return await sign(typ, claims)
  })
  const flood = atOnce(30, () => tokenFor(t, busy))
  await vi.waitFor(() => expect(signing).toBe(SERVICES.permits))
  for (let round = 0; round < 5; round++) refreshToken = refreshTokenOf(await t.refresh(refreshToken))
  expect(signing).toBe(SERVICES.permits)
  threads.resolve()
  expect((await flood).map(({ statusCode }) => statusCode)).toContain(200)
})
