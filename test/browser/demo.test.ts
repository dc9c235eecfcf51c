import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { createServer } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { run } from '../cli/support.ts'
import { testEnvironment } from '../support/app.ts'
import { noteSecret } from '../support/canary.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { startDemo } from './demo-process.ts'
import { eventually, launchChromium, patience, withoutBrowser } from './support.ts'

// npm run demo, as people see it: what it prints, what its page shows, and that it leaves nothing behind.

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
      const complaints = listen(page)
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
      // A press while the scene before is still being played would be none.
      const step = page.locator('.play.bearer .actions .plain:not([aria-busy])')
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
      await step.click()
      await page.locator('.play.bearer .scene.end').waitFor()
      expect(await page.locator('.play.bearer .answer').allInnerTexts()).toEqual([
        'POST /login → 200',
        'POST /refresh → 200',
        'POST /refresh → 200',
        'POST /refresh → 401 invalid_grant',
        'POST /refresh → 401 invalid_grant',
        'GET /orders → 401 invalid_token',
      ])

      // The service reports as a client of the issuer, so operators see that it has heard.
      const env = testEnvironment(database.url)
      const phone = (await page.locator('.play.bearer .command').innerText()).split(' ').at(-1) ?? ''
      const why = async () => (await run(['sessions', 'why', phone], { env })).out
      await expect.poll(why, { timeout: 15_000 }).toContain('All services that report have heard of it: 1 instance.')
      const verifiers = await run(['verifiers', '--check'], { env })
      expect(verifiers).toMatchObject({ code: 0, out: expect.stringMatching(/^orders +\S+:\d+ +current /m) })

      // Another device signs in by itself, and is shown the door from here.
      const login = { email: 'demo@example.com', password: demo.password(), client_id: 'native' }
      const { refresh_token } = (await post(`${issuer}/login`, login)).body
      noteSecret(refresh_token ?? '')
      await page.getByRole('button', { name: 'Look again' }).click()
      await expect.poll(() => rows(page)).toHaveLength(2)
      await page.getByRole('button', { name: /^End the session on/ }).click()
      await expect.poll(() => rows(page)).toHaveLength(1)
      expect((await post(`${issuer}/refresh`, { refresh_token })).status).toBe(401)

      // The same thief, and a session that is bound to a key.
      await page.getByRole('button', { name: 'Play the thief against DPoP' }).click()
      await page.locator('.play.bound .scene.end').waitFor()
      expect(await page.locator('.play.bound .answer').allInnerTexts()).toEqual([
        'POST /login → 200',
        'POST /refresh → 400 invalid_dpop_proof',
        'POST /refresh → 400 invalid_dpop_proof',
        'GET /orders → 401 invalid_dpop_proof',
        'POST /refresh → 200',
        'GET /orders → 200',
      ])
      await page.getByText('The copies are refused. This session is alive.').waitFor()
      expect(await page.locator('.play.bearer .story').isVisible(), 'one story at a time').toBe(false)
      await expect.poll(() => rows(page)).toHaveLength(2)
      const bound = (await page.locator('.play.bound .command').innerText()).split(' ').at(-1) ?? ''
      const told = (await run(['sessions', 'why', bound, '--json'], { env })).out
      expect(told).toContain('refresh.dpop_refused')
      expect(told).toContain('no_proof')
      expect(told).toContain('other_key')

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

describe.skipIf(withoutBrowser)('accounts in the demo', patience, () => {
  const phrase = () => {
    const password = `a phrase of ${crypto.randomUUID()}`
    noteSecret(password)
    return password
  }
  const mail = (page: Page, to: string, subject: string) =>
    page
      .locator('.mail', { hasText: `to ${to} ` })
      .filter({ hasText: subject })
      .first()
  const follow = (page: Page, to: string, subject: string, link = 'Open it') =>
    mail(page, to, subject).getByRole('link', { name: link }).click()
  const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()
  async function fill(page: Page, values: Record<string, string>): Promise<void> {
    for (const [selector, value] of Object.entries(values)) await page.fill(selector, value)
  }

  test('by its own pages and by Claviger’s, with every mail in the inbox', async () => {
    await using database = await cloneDatabase()
    await using demo = await startDemo(database.url)
    await demo.printed(/The demo is ready: +(\S+)/)
    const { PORT, SPA_PORT } = demo.ports
    const home = `http://localhost:${SPA_PORT}/`
    const [ada, countess, guest] = ['ada@example.com', 'countess@example.org', 'guest@example.com']
    const [first, second] = [phrase(), phrase()]
    const browser: Browser = await launchChromium()
    try {
      const page = await browser.newPage()
      const complaints = listen(page)
      await page.goto(home)
      await press(page, 'Make an account instead')
      await fill(page, { '#email': ada, '#password': first })
      await press(page, 'Make an account')
      await page.getByText(`A mail to ${ada} is on its way.`).waitFor()
      await press(page, 'Sign in with an account that exists')
      await press(page, 'Sign in')
      await page.getByText('The address is not confirmed yet.').waitFor()
      await press(page, 'Send the mail again')
      await eventually(() => page.locator('.mail', { hasText: `to ${ada} ` }).count()).toBe(2)
      await follow(page, ada, 'Confirm your email address')
      await page.getByRole('heading', { name: 'Confirm your address' }).waitFor()
      expect(page.url(), 'no token').toBe(`${home}verify`)
      await page.fill('[name=password]', first)
      await press(page, 'Confirm')
      await page.getByText('Your address is confirmed.').waitFor()
      // The link of the mail before, in the page that is open.
      await page
        .locator('.mail', { hasText: `to ${ada} ` })
        .last()
        .getByRole('link', { name: 'Open it' })
        .click()
      await page.fill('[name=password]', first)
      await press(page, 'Confirm')
      await page.getByText('This link or code is no longer good').waitFor()
      await page.getByRole('link', { name: 'To the demo' }).click()

      await page.getByRole('link', { name: 'Forgot your password?' }).click()
      await page.fill('[name=email]', ada)
      await press(page, 'Send the mail')
      await follow(page, ada, 'Reset your password', 'On Claviger’s page')
      await page.waitForURL(`http://localhost:${PORT}/account/reset**`)
      await page.fill('[name=password]', second)
      await page.click('main [type=submit]')
      await page.click('main a.primary')
      await fill(page, { '[name=email]': ada, '[name=password]': second })
      await page.click('main [type=submit]')
      await page.locator('.token .claims tr').first().waitFor()
      expect(page.url(), 'back, and signed in').toBe(home)

      await fill(page, { '#address-email': countess, '#address-current': second })
      await press(page, 'Send the mail')
      const code = await mail(page, countess, 'Confirm your new email address').locator('summary code').innerText()
      await page.fill('#confirmation-code', code.replace('code ', ''))
      await press(page, 'Confirm')
      await page.locator('.who', { hasText: countess }).waitFor()

      await follow(page, ada, 'was changed')
      await press(page, 'Take it back')
      await page.getByText('The old address is back').waitFor()
      await eventually(() => page.locator('.who').innerText()).toBe('')

      await follow(page, guest, 'Your invitation')
      await page.fill('[name=password]', phrase())
      await press(page, 'Make the account')
      await page.getByText(`There is an account of ${guest} now.`).waitFor()
      expect(complaints).toEqual([])
    } finally {
      await browser.close()
    }
    // By another name that leads to this machine, another site would read the links.
    expect([await statusOf(SPA_PORT, 'localhost'), await statusOf(SPA_PORT, 'evil.example')]).toEqual([200, 403])
    expect(await demo.stop()).toBe(0)
  }, 120_000)
})

/** What goes wrong in a page, as it is found out. */
function listen(page: Page): string[] {
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (/security policy|trusted/i.test(message.text())) complaints.push(message.text())
  })
  return complaints
}

async function statusOf(port: number, host: string): Promise<number | undefined> {
  const asked = request({ host: '127.0.0.1', port, path: '/inbox.json', headers: { host: `${host}:${port}` } }).end()
  const [{ statusCode }] = (await once(asked, 'response')) as [IncomingMessage]
  return statusCode
}

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
