import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { createTestApp, type TestApp } from '../support/app.ts'
import { startForwarder } from '../support/forwarder.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { startServer } from '../support/server.ts'
import { startPair } from '../support/standby.ts'
import { LIST, type ListClaims, openStream, readList, revokeSessions, type StreamEvent, verified } from './support.ts'

const iatOf = async (t: TestApp, { data }: StreamEvent) => (await verified<ListClaims>(t, data, 'revocations+jwt')).iat

test.concurrent.each(['hangs', 'goes away'] as const)(
  'while the database %s, the list is of the moment before, and no heartbeat says otherwise',
  async (how) => {
    await using line = await startForwarder()
    await using t = await createTestApp({ line })
    await revokeSessions(t, 1)
    await using stream = await openStream(await t.listen())
    await stream.next('heartbeat')
    const lost = Math.floor(t.deps.clock().getTime() / 1000)
    const { port } = new URL(t.database.url)
    if (how === 'hangs') line.pause()
    else {
      line.lead(undefined)
      line.cut()
    }
    const beats = () => stream.events.filter(({ event }) => event === 'heartbeat')
    const before = beats().length
    // Long enough for two more, if they came.
    await sleep(4500)
    const { iat, revocations } = await readList(t)
    expect(iat).toBeLessThanOrEqual(lost)
    expect(revocations).toHaveLength(1)
    expect(beats().length - before).toBeLessThanOrEqual(1)
    for (const beat of beats()) expect(await iatOf(t, beat)).toBeLessThanOrEqual(lost)

    if (how === 'hangs') line.resume()
    else line.lead(Number(port))
    await vi.waitFor(
      async () => {
        const [last] = beats().slice(-1)
        expect(last && (await iatOf(t, last))).toBeGreaterThan(lost + 3)
      },
      { timeout: 8000, interval: 100 },
    )
  },
  20_000,
)

test('while the database refuses connections, readers of the list order no more of them than when it is there', async () => {
  await using line = await startForwarder()
  await using t = await createTestApp({ line })
  await readList(t)
  line.lead(undefined)
  line.cut()
  await t.deps.feed.look().catch(() => {})
  const [before, since] = [line.connections(), performance.now()]
  for (let n = 0; n < 300; n++) await readList(t)
  const looks = (performance.now() - since) / 50
  expect(line.connections() - before).toBeLessThanOrEqual(looks + 2)
})

test('a server that is told to stop ends the streams and is gone', async () => {
  await using database = await cloneDatabase()
  await using server = await startServer({ databaseUrl: database.url, env: { SHUTDOWN_DELAY_SECONDS: '0' } })
  const streams = await Promise.all([1, 2, 3].map(() => openStream(server.url)))
  await Promise.all(streams.map((stream) => stream.next('heartbeat')))
  const stopped = server.stop()
  await Promise.all(streams.map(({ ended }) => ended))
  expect(await stopped).toBe(0)
  expect(server.output()).not.toContain('"level":"error"')
})

test('a standby that takes over begins another epoch, and what it has is listed there', async () => {
  await using pair = await startPair()
  await pair.onPrimary(`ALTER SYSTEM SET synchronous_standby_names = 'standby'`)
  await pair.onPrimary('SELECT pg_reload_conf()')
  await using server = await startServer({ databaseUrl: pair.url })
  const { email, password } = { email: 'ada@example.com', password: 'four quiet otters hum' }
  await postJson(`${server.url}/register`, { email, password })
  const login = await postJson(`${server.url}/login`, { email, password, client_id: 'native' })
  const { refresh_token } = (await login.json()) as { refresh_token: string }
  await using stream = await openStream(server.url)
  await postJson(`${server.url}/logout`, { refresh_token })
  const { id = '' } = await stream.next('revocation')
  await pair.killPrimary()
  await pair.takeOver()
  const { epoch, seq } = JSON.parse((await stream.next('reset')).data) as { epoch: string; seq: number }
  expect(id).not.toContain(epoch)
  expect(seq).toBe(1)
  const answer = await fetch(`${server.url}${LIST}?since=${epoch}.0`)
  const [, claims = ''] = (await answer.text()).split('.')
  expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({ epoch, revocations: [{ seq: 1 }] })
}, 60_000)
