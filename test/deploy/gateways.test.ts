import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createTestApp, type SignedUp, type TestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import type { Middleman } from '../support/middleman.ts'
import { ask, type Echo, signIn, signOut, startEcho, testBoundTokens, testRules } from './gateway-rules.ts'
import { type Client, type Issuer, kinds, SECONDS, startGateway, startTlsFront } from './gateways.ts'
import { findTool } from './tools.ts'

// Those of docs/gateways.md that introspect: each of its files as the gateway of a service, asking a real server.

let t: TestApp
let issuer: Issuer
let client: Client
let service: Echo

beforeAll(async () => {
  t = await createTestApp({ env: { AUDIENCE: 'orders,stock' } })
  issuer = await startTlsFront(Number(new URL(await t.listen()).port))
  client = await addServiceClient(t, { audiences: ['orders'] })
  service = await startEcho()
})
afterAll(async () => {
  await service?.[Symbol.asyncDispose]()
  await issuer?.[Symbol.asyncDispose]()
  await t?.[Symbol.asyncDispose]()
})

const programs = Object.entries(kinds).map(([name, kind]) => {
  const isWhole = kind.needs === undefined || existsSync(kind.needs)
  return { name, kind, program: isWhole ? (findTool(kind.program) ?? '') : '' }
})
/** As long as a verdict may be kept. Two of the three count whole seconds. */
const soon = { timeout: (SECONDS + 1) * 1000 + 500, interval: 50 }

describe.each(programs.filter(({ program }) => program))('$name', ({ kind, program }) => {
  let gateway: Middleman
  let user: SignedUp
  beforeAll(async () => {
    gateway = await startGateway(kind, { program, issuer, client, service: service.address })
    user = await t.signUp()
  })
  afterAll(() => gateway?.close())

  const statusOf = async (token: string) => (await ask(gateway.port, token)).status
  const questions = () => t.logs.filter(({ route }) => route === '/oauth/introspect').length

  testRules(() => ({ t, port: gateway.port, user }))
  testBoundTokens(() => ({ t, port: gateway.port, user }))

  test('asks once for as long as it may keep the answer, and never lets one token’s answer count for another', async () => {
    const [mine, theirs] = [await signIn(t, user), await t.signUp()]
    const before = questions()
    for (let time = 0; time < 5; time++) expect(await statusOf(mine.access_token)).toBe(200)
    const asked = questions() - before
    expect(asked).toBeGreaterThan(0)
    expect(asked, 'five requests, in the seconds that they take').toBeLessThan(4)
    expect((await ask(gateway.port, theirs.accessToken)).sent['x-subject']).toBe(theirs.userId)
    expect(await statusOf(`${mine.access_token.slice(0, -4)}AAAA`)).toBe(401)
  })

  test('sees a logout at once where the token is not in its cache, and within its time where it is', async () => {
    const [seen, unseen] = [await signIn(t, user), await signIn(t, user)]
    expect(await statusOf(seen.access_token)).toBe(200)
    await Promise.all([signOut(t, seen), signOut(t, unseen)])
    expect(await statusOf(unseen.access_token)).toBe(401)
    await expect.poll(() => statusOf(seen.access_token), soon).toBe(401)
    expect(await statusOf(user.accessToken), 'others go on').toBe(200)
  })

  test('lets nobody in while the issuer is away, once its cache is old, and goes on when it is back', async () => {
    const [seen, unseen] = [await signIn(t, user), await signIn(t, user)]
    expect(await statusOf(seen.access_token)).toBe(200)
    issuer.leave()
    try {
      const { status, headers, reached } = await ask(gateway.port, unseen.access_token)
      expect([status, reached]).toEqual([kind.away, false])
      expect(headers['retry-after']).toBe(kind.away === 503 ? '1' : undefined)
      await expect.poll(() => statusOf(seen.access_token), soon).toBe(kind.away)
    } finally {
      issuer.comeBack()
    }
    await vi.waitFor(async () => expect(await statusOf(unseen.access_token)).toBe(200), 5000)
  })

  test('lets nobody in with credentials that the issuer does not know', async () => {
    const unknown = { ...client, secret: `${client.secret.slice(0, -4)}AAAA` }
    const another = await startGateway(kind, { program, issuer, client: unknown, service: service.address })
    try {
      const { status, headers, reached } = await ask(another.port, user.accessToken)
      expect([status, reached]).toEqual([kind.away, false])
      expect(headers['www-authenticate'] ?? '', 'no browser asks people for a password').not.toMatch(/basic/i)
    } finally {
      await another.close()
    }
  })
})
