import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { testEnvironment } from '../support/app.ts'
import { noteSecret } from '../support/canary.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { freePort } from '../support/server.ts'
import { launchChromium, patience, withoutBrowser } from './support.ts'

// npm run demo, as people see it: what it prints, what its page shows, and that it leaves nothing behind.

const file = join(import.meta.dirname, '../../dev/demo.ts')

async function startDemo(databaseUrl: string, settings: Record<string, string> = {}) {
  const [PORT, ORDERS_PORT, SPA_PORT] = await Promise.all([freePort(), freePort(), freePort()])
  const child = spawn(process.execPath, [file], {
    env: {
      PATH: process.env.PATH ?? '',
      ...testEnvironment(databaseUrl),
      LOG_LEVEL: 'warn',
      PORT: String(PORT),
      ORDERS_PORT: String(ORDERS_PORT),
      SPA_PORT: String(SPA_PORT),
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)))
  const ended = once(child, 'exit').then(([code]) => code as number | null)
  const printed = (what: RegExp) =>
    expect.poll(() => output.match(what)?.[1], { timeout: 40_000, message: what.source }).toBeDefined()
  return {
    printed,
    output: () => output,
    ended,
    ports: { PORT, ORDERS_PORT, SPA_PORT },
    password: () => {
      const password = /demo@example\.com +(\S+)/.exec(output)?.[1] ?? ''
      noteSecret(password)
      return password
    },
    stop: () => {
      child.kill('SIGTERM')
      return ended
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

async function signIn(page: Page, password: string): Promise<void> {
  await page.fill('#email', 'demo@example.com')
  await page.fill('#password', password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.locator('.token .claims tr').first().waitFor()
}

const rows = (page: Page) => page.locator('.sessions .row').allInnerTexts()

describe.skipIf(withoutBrowser)('the demo', patience, () => {
  test('sign in, order, play the thief, end another session, share it between tabs', async () => {
    await using database = await cloneDatabase()
    await using demo = await startDemo(database.url)
    await demo.printed(/The demo is ready: +(\S+)/)
    const { PORT, ORDERS_PORT, SPA_PORT } = demo.ports
    const issuer = `http://localhost:${PORT}`
    const home = `http://localhost:${SPA_PORT}/`
    const browser: Browser = await launchChromium()
    try {
      const context = await browser.newContext()
      const page = await context.newPage()
      const complaints: string[] = []
      page.on('pageerror', (error) => complaints.push(error.message))
      page.on('console', (message) => {
        if (/security policy|trusted/i.test(message.text())) complaints.push(message.text())
      })
      await page.goto(home)

      await page.fill('#password', 'not the password')
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByText('Wrong e-mail address or password.').waitFor()
      await signIn(page, demo.password())
      const claims = await page.locator('.token .scroll').innerText()
      expect(claims).toMatch(/alg\s+RS256/)
      expect(claims).toMatch(/aud\s+orders/)
      expect(Number(await page.locator('.seconds').innerText())).toBeGreaterThan(40)

      await page.fill('#item', 'Skeleton key')
      await page.getByRole('button', { name: 'Add order' }).click()
      await page.locator('.orders .row', { hasText: 'Skeleton key' }).waitFor()

      // The phone and the thief send real requests; the list of sessions is the issuer's.
      await expect.poll(() => rows(page)).toHaveLength(1)
      const step = page.locator('.thief .actions .plain')
      await step.click()
      await page.locator('.sessions .row', { hasText: 'Phone of the demo' }).waitFor()
      await step.click()
      await step.click()
      await page.locator('.token-chip.live', { hasText: 'Token 3' }).waitFor()
      await expect.poll(() => rows(page)).toHaveLength(2)
      await step.click()
      await page.getByText('This session has ended, for both.').waitFor()
      await expect.poll(() => rows(page)).toHaveLength(1)
      await step.click()
      await page.locator('.scene.end').waitFor()
      expect(await page.locator('.answer').allInnerTexts()).toEqual([
        'POST /login → 200',
        'POST /refresh → 200',
        'POST /refresh → 200',
        'POST /refresh → 401 invalid_grant',
        'POST /refresh → 401 invalid_grant',
      ])

      // Another device signs in by itself, and is shown the door from here.
      const login = { email: 'demo@example.com', password: demo.password(), client_id: 'native' }
      const { refresh_token } = (await post(`${issuer}/login`, login)).body
      noteSecret(refresh_token ?? '')
      await page.getByRole('button', { name: 'Look again' }).click()
      await expect.poll(() => rows(page)).toHaveLength(2)
      await page.getByRole('button', { name: /^End the session on/ }).click()
      await expect.poll(() => rows(page)).toHaveLength(1)
      expect((await post(`${issuer}/refresh`, { refresh_token })).status).toBe(401)

      const orders = `http://localhost:${ORDERS_PORT}`
      const ask = (path: string, token?: string, origin = home.slice(0, -1)) =>
        fetch(orders + path, { headers: { origin, ...(token ? { authorization: `Bearer ${token}` } : {}) } })
      const [mine, admins] = await Promise.all(
        ['demo', 'admin'].map(async (name) => {
          const { body } = await post(`${issuer}/login`, { ...login, email: `${name}@example.com` })
          return body.access_token ?? ''
        }),
      )
      expect((await ask('/orders')).status).toBe(401)
      expect((await ask('/admin/orders', mine)).status).toBe(403)
      expect(await (await ask('/admin/orders', admins)).text()).toContain('Skeleton key')
      expect(await (await ask('/orders', admins)).json()).toEqual({ orders: [] })
      expect(
        (await ask('/orders', mine, 'https://elsewhere.example')).headers.get('access-control-allow-origin'),
      ).toBeNull()

      const second = await context.newPage()
      await second.goto(home)
      await second.locator('.orders .row', { hasText: 'Skeleton key' }).waitFor()
      await second.getByRole('button', { name: 'Sign out' }).click()
      await page.getByRole('button', { name: 'Sign in' }).waitFor()
      await second.getByRole('button', { name: 'Sign in' }).waitFor()
      expect(complaints).toEqual([])
    } finally {
      await browser.close()
    }

    expect(await demo.stop()).toBe(0)
    for (const port of [PORT, ORDERS_PORT, SPA_PORT]) {
      await expect(fetch(`http://127.0.0.1:${port}/`), `port ${port}`).rejects.toThrow('fetch failed')
    }
  }, 120_000)
})

test('the demo says which port is taken, and how to choose another one', async () => {
  await using blocker = await holdPort()
  // It comes so early that the database does not matter.
  await using demo = await startDemo('postgres://nobody@127.0.0.1:1/none', { SPA_PORT: String(blocker.port) })
  expect(await demo.ended).toBe(1)
  expect(demo.output()).toBe(
    `claviger: port ${blocker.port} is in use; choose another one, as in: SPA_PORT=${blocker.port + 1} npm run demo\n`,
  )
})

async function holdPort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      server.close()
    },
  }
}

async function post(url: string, body: object) {
  const reply = await postJson(url, body)
  return { status: reply.status, body: (await reply.json()) as { access_token?: string; refresh_token?: string } }
}
