import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createTestApp, type SignedUp, type TestApp } from '../support/app.ts'
import { type Forwarder, startForwarder } from '../support/forwarder.ts'
import type { Middleman } from '../support/middleman.ts'
import { freePort } from '../support/server.ts'
import { kinds, STALE_SECONDS, startGate, startGateway } from './gates.ts'
import { page } from './gateway-files.ts'
import { ask, type Echo, signIn, signOut, startEcho, testBoundTokens, testRules } from './gateway-rules.ts'
import { kinds as introspecting } from './gateways.ts'
import { findTool } from './tools.ts'

// Those of docs/gateways.md that ask a program beside them, which follows the feed of a real server.

test('every file of the page is run, here or in gateways.test.ts', () => {
  const run = [...Object.values(kinds), ...Object.values(introspecting)].flatMap(({ paths }) => paths)
  expect([...page.keys()].toSorted()).toEqual(run.toSorted())
})

let t: TestApp
let line: Forwarder
let gate: Middleman
let service: Echo
let user: SignedUp

const programs = Object.entries(kinds)
  .map(([name, kind]) => ({ name, kind, program: findTool(kind.program) ?? '' }))
  .filter(({ program }) => program)

beforeAll(async () => {
  if (programs.length === 0) return
  line = await startForwarder()
  const issuer = `http://localhost:${line.port}`
  t = await createTestApp({ env: { AUDIENCE: 'orders,stock', ISSUER: issuer } })
  line.lead(Number(new URL(await t.listen()).port))
  service = await startEcho()
  user = await t.signUp()
  gate = await startGate(issuer)
}, 60_000)
afterAll(async () => {
  await gate?.close()
  await service?.[Symbol.asyncDispose]()
  await line?.close()
  await t?.[Symbol.asyncDispose]()
})

describe.each(programs)('$name', ({ kind, program }) => {
  let gateway: Middleman
  beforeAll(async () => {
    gateway = await startGateway(kind, { program, gate: gate.port, service: service.address })
    // Traefik opens its ports before it has read where requests go.
    await vi.waitFor(async () => expect(await statusOf(user.accessToken)).toBe(200), 10_000)
  })
  afterAll(() => gateway?.close())

  const statusOf = async (token: string) => (await ask(gateway.port, token)).status

  testRules(() => ({ t, port: gateway.port, user }))
  testBoundTokens(() => ({ t, port: gateway.port, user }))

  test('hears of a logout within a second or two, and others go on', async () => {
    const mine = await signIn(t, user)
    expect(await statusOf(mine.access_token)).toBe(200)
    await signOut(t, mine)
    await expect.poll(() => statusOf(mine.access_token), { timeout: 2000, interval: 20 }).toBe(401)
    expect(await statusOf(user.accessToken)).toBe(200)
  })
})

describe.skipIf(programs.length === 0)('whoever asks the gate', () => {
  const [{ kind, program } = { kind: kinds.caddy, program: '' }] = programs

  test('lets nobody in without it', async () => {
    const gateway = await startGateway(kind, { program, gate: await freePort(), service: service.address })
    try {
      expect(await ask(gateway.port, user.accessToken)).toMatchObject({ status: 502, reached: false })
    } finally {
      await gateway.close()
    }
  })

  test('goes on for a while when the issuer is away, then lets nobody in until it is back', async () => {
    const mine = await signIn(t, user)
    const { port } = t.app.server.address() as AddressInfo
    const gateway = await startGateway(kind, { program, gate: gate.port, service: service.address })
    const status = async () => (await ask(gateway.port, mine.access_token)).status
    try {
      await vi.waitFor(async () => expect(await status()).toBe(200), 10_000)
      line.lead(undefined)
      line.cut()
      expect(await status()).toBe(200)
      await expect.poll(status, { timeout: (STALE_SECONDS + 2) * 1000 }).toBe(503)
      line.lead(port)
      await expect.poll(status, { timeout: 15_000 }).toBe(200)
    } finally {
      await gateway.close()
    }
  }, 30_000)

  test('gets 503 of one that was started while the issuer is away, and is let in once it is back', async () => {
    const mine = await signIn(t, user)
    const { port } = t.app.server.address() as AddressInfo
    line.lead(undefined)
    const late = await startGate(t.config.ISSUER)
    const gateway = await startGateway(kind, { program, gate: late.port, service: service.address })
    const status = async () => (await ask(gateway.port, mine.access_token)).status
    try {
      await vi.waitFor(async () => expect(await status()).toBe(503), 10_000)
      line.lead(port)
      await expect.poll(status, { timeout: 15_000 }).toBe(200)
    } finally {
      line.lead(port)
      await gateway.close()
      await late.close()
    }
  }, 60_000)
})
