import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { createVisitor, makeSecret, SITE, type Visitor } from './server-support.ts'

let t: TestApp
let processes: { child: ChildProcess; url: string }[]
let visitor: Visitor

beforeEach(async () => {
  // Without a grace: only the same exchange is forgiven.
  t = await createTestApp({ env: { REFRESH_GRACE_SECONDS: '0', ACCESS_TOKEN_SECONDS: '5' } })
  const env = { PATH: process.env.PATH, ISSUER: await t.listen(), SITE, SECRET: makeSecret() }
  processes = await Promise.all([start(env), start(env)])
  visitor = createVisitor()
})
afterEach(async () => {
  for (const { child } of processes) child.kill('SIGKILL')
  await t[Symbol.asyncDispose]()
})

async function start(env: NodeJS.ProcessEnv): Promise<{ child: ChildProcess; url: string }> {
  const program = join(import.meta.dirname, 'server-site.ts')
  const child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { child, url: `http://127.0.0.1:${line.toString().trim()}` }
}

/** A request of the visitor, to whichever process a load balancer has chosen. */
async function send(request: Request, to: number): Promise<Response> {
  const { pathname } = new URL(request.url)
  const body = request.method === 'POST' ? await request.text() : undefined
  return fetch((processes[to]?.url ?? '') + pathname, {
    method: request.method,
    headers: request.headers,
    ...(body && { body }),
  })
}

test('two processes, forty renders at once over an expiry, five times: one rotation each, nobody is signed out', async () => {
  const email = 'ada@example.com'
  await t.register(email, TEST_PASSWORD)
  visitor.take(await send(visitor.post('/auth/login', { email, password: TEST_PASSWORD }), 0))
  const rotated = async () => {
    const { values } = await t.deps.metrics.refreshes.get()
    return values.find(({ labels }) => labels.outcome === 'rotated')?.value ?? 0
  }
  for (let round = 1; round <= 5; round++) {
    await sleep(4200)
    const answers = await atOnce(40, (index) => send(visitor.request('/page'), index % 2))
    const bodies = await Promise.all(answers.map((each) => each.clone().json()))
    expect(new Set(bodies.map((body) => JSON.stringify(body)))).toEqual(
      new Set([JSON.stringify({ state: 'signed-in', email })]),
    )
    // In the order in which they happen to arrive.
    for (const each of answers.toSorted(() => Math.random() - 0.5)) visitor.take(each)
    expect(await rotated()).toBe(round)
  }
  const { values } = await t.deps.metrics.refreshes.get()
  const outcomes = values.filter(({ value }) => value > 0).map(({ labels }) => labels.outcome)
  expect(new Set(outcomes)).toEqual(new Set(['rotated', 'retry']))
}, 60_000)
