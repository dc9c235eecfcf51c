import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { noteSecret } from '../support/canary.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { type RunningProcess, startServer } from '../support/server.ts'
import { type Line, openLine } from './line.ts'
import { buildSite, type NextSite, startSite } from './next-site.ts'
import { eventually, launchChromium, patience, withoutBrowser } from './support.ts'

// The site of docs/recipes/nextjs.md: built by Next.js, run as two processes, and looked at in Chromium.

/** Long enough for thirty renders on a busy machine between two refreshes. */
const ACCESS_TOKEN_SECONDS = 8
/** A refresh is due in the last fifth. */
const DUE_MS = 6800

describe.skipIf(withoutBrowser)('the recipe for Next.js', patience, () => {
  let browser: Browser
  let folder: string | undefined
  let database: TestDatabase
  let server: RunningProcess
  /** Between the site and the issuer. */
  let line: Line
  let site: NextSite
  let context: BrowserContext
  /** What went wrong in any page, such as a render that differs from the server's. */
  let errors: string[]
  let email: string
  let password: string

  beforeAll(async () => {
    ;[browser, folder] = await Promise.all([launchChromium(), buildSite()])
  }, 300_000)
  afterAll(async () => {
    await browser?.close()
    if (folder) await rm(folder, { recursive: true, force: true })
  })

  beforeEach(async ({ skip }) => {
    if (!folder) return skip('Next.js could not be installed')
    ;[database, line] = await Promise.all([cloneDatabase(), openLine()])
    // Without a grace: a token that comes twice is theft, unless it is the same exchange.
    const env = { ISSUER: line.url, ACCESS_TOKEN_SECONDS: String(ACCESS_TOKEN_SECONDS), REFRESH_GRACE_SECONDS: '0' }
    server = await startServer({ databaseUrl: database.url, env })
    line.connect(server.url.replace('localhost', '127.0.0.1'))
    site = await startSite(folder, line.url)
    ;[email, password, errors] = [`user-${randomUUID()}@example.com`, `a phrase of ${randomUUID()}`, []]
    noteSecret(password)
    const registered = await postJson(`${server.url}/register`, { email, password })
    expect(registered.status).toBe(201)
    context = await browser.newContext()
    context.on('weberror', (error) => errors.push(String(error.error())))
    context.on('console', (message) => {
      // The recipe has no icon.
      if (message.type() === 'error' && !message.location().url.endsWith('/favicon.ico')) errors.push(message.text())
    })
  }, 60_000)
  afterEach(async () => {
    if (!folder) return
    await context.close()
    await site[Symbol.asyncDispose]()
    await server.stop()
    await line[Symbol.asyncDispose]()
    await database.drop()
  })

  const open = async (path: string): Promise<Page> => {
    const page = await context.newPage()
    await page.goto(site.url + path)
    return page
  }
  const signIn = async (secret = password): Promise<Page> => {
    const page = await open('/sign-in')
    await page.getByLabel('E-mail address').fill(email)
    await page.getByLabel('Password').fill(secret)
    await page.getByRole('button', { name: 'Sign in' }).click()
    return page
  }
  const signedIn = async (): Promise<Page> => {
    const page = await signIn()
    await page.waitForURL(`${site.url}/account`)
    await page.locator('#email').waitFor()
    return page
  }
  /** Of the issuer's own counting. */
  const counted = async (outcome: string): Promise<number> => {
    const text = await (await fetch(`${server.metricsUrl}/metrics`)).text()
    expect(text).toContain('claviger_refreshes_total')
    return Number(RegExp(`claviger_refreshes_total\\{outcome="${outcome}"\\} (\\d+)`).exec(text)?.[1] ?? 0)
  }

  test('signs in and out, and is the same after a reload; no script sees a token', async () => {
    const page = await open('/account')
    expect(page.url(), 'nobody is signed in').toBe(`${site.url}/sign-in`)
    const wrong = await signIn('not the password')
    await eventually(() => wrong.getByRole('alert').first().textContent()).toBe(
      'The e-mail address or the password is wrong.',
    )
    expect(await wrong.getByLabel('E-mail address').inputValue(), 'is not to be typed again').toBe(email)
    expect(await context.cookies()).toEqual([])

    const account = await signedIn()
    expect(await account.locator('#email').textContent()).toBe(email)
    expect(await account.locator('#user').textContent(), 'the layout knows it, too').toBe(email)
    await account.reload()
    expect(await account.locator('#email').textContent()).toBe(email)
    const cookies = await context.cookies()
    expect(cookies, 'of the session, which one counts, and the device').toHaveLength(3)
    for (const cookie of cookies) expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Lax', path: '/' })
    const scripts = await account.evaluate('document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage })')
    expect(`${String(scripts)}${await account.content()}`).not.toMatch(/rt1_|eyJ|claviger/)
    expect(await counted('rotated')).toBe(0)

    await account.getByRole('button', { name: 'Sign out' }).click()
    await account.waitForURL(`${site.url}/`)
    await eventually(() => account.locator('h1').textContent()).toBe('Hello')
    expect((await context.cookies()).map(({ name }) => name)).toEqual([expect.stringMatching(/-device$/)])
    expect(line.to('/logout').map(({ status }) => status)).toEqual([204])
    await page.goto(`${site.url}/account`)
    expect(page.url()).toBe(`${site.url}/sign-in`)
    expect(errors).toEqual([])
  })

  test('a page of another site signs nobody in, whatever Next.js makes of its Origin', async () => {
    const page = await open('/sign-in')
    // What Next.js puts into the form, so that it works without scripts.
    const hidden = await page.locator('input[type=hidden]').all()
    const fields = await Promise.all(
      hidden.map(async (field) => [await field.getAttribute('name'), await field.getAttribute('value')]),
    )
    expect(fields.length).toBeGreaterThan(0)
    const post = (origin: string) => {
      const body = new FormData()
      for (const [name, value] of [...fields, ['email', email], ['password', password]])
        body.set(name ?? '', value ?? '')
      // Next.js compares Origin with the host that a proxy says, which is not the site that the session is sealed for.
      const headers = { origin, 'x-forwarded-host': new URL(origin).host }
      return fetch(`${site.url}/sign-in`, { method: 'POST', body, headers, redirect: 'manual' })
    }
    const refused = await post('http://evil.example')
    expect(refused.headers.getSetCookie()).toEqual([])
    expect(await refused.text()).toContain('Signing in does not work at the moment.')
    expect(line.to('/login')).toEqual([])
    // The same without scripts, from the site's own page.
    expect((await post(site.url)).headers.getSetCookie().join()).toContain('claviger')
  })

  test('tokens expire while thirty renders are under way: one rotation each time, nobody is signed out', async () => {
    const tabs = [await signedIn(), await open('/account'), await open('/')]
    const first = await open('/')
    /** In a page, so that the browser sends its cookies and keeps those that come. */
    const renders = (count: number): Promise<string[]> =>
      first.evaluate(
        async (times) =>
          Promise.all(
            Array.from({ length: times }, async () => (await fetch('/account', { cache: 'no-store' })).text()),
          ),
        count,
      )
    // What was refreshed while the tabs were opened is not what is counted here.
    let rotated = await counted('rotated')
    let asked = line.to('/refresh').length
    for (const wait of [DUE_MS, DUE_MS, ACCESS_TOKEN_SECONDS * 1000 + 500]) {
      await sleep(wait)
      const [pages] = await Promise.all([renders(27), ...tabs.map((tab) => tab.reload())])
      expect(pages.filter((page) => !page.includes(`<dd id="email">${email}</dd>`))).toEqual([])
      for (const tab of tabs) expect(await tab.locator('#user').textContent()).toBe(email)
      expect(await counted('rotated')).toBe(++rotated)
      // One request of each process at the most.
      expect(line.to('/refresh').length - asked).toBeLessThanOrEqual(2)
      asked = line.to('/refresh').length
    }
    expect(await counted('reuse')).toBe(0)
    expect(await counted('invalid_grant')).toBe(0)
    expect(errors).toEqual([])
  })

  test('the issuer is out of reach: the page says so, and goes on afterwards with the same session', async () => {
    const page = await signedIn()
    const repair = line.disturb('/refresh', async (_forward, response) => void response.destroy())
    await sleep(ACCESS_TOKEN_SECONDS * 1000 + 500)
    await page.reload()
    expect(await page.getByRole('status').first().textContent()).toBe('Some things do not work at the moment.')
    expect(await page.locator('#user').textContent(), 'signed in as before').toBe(email)
    repair()
    await eventually(async () => {
      await page.reload()
      return page.getByRole('status').count()
    }).toBe(0)
    expect(await page.locator('#email').textContent()).toBe(email)
    expect(await counted('reuse')).toBe(0)
  })

  test('scripts ask the routes, and an answer that sets the cookie is for no cache', async () => {
    const page = await signedIn()
    await sleep(DUE_MS)
    const [answer] = await Promise.all([page.waitForResponse(`${site.url}/account`), page.reload()])
    const headers = await answer.allHeaders()
    expect(headers['set-cookie']).toContain('claviger')
    expect(headers['cache-control']).toContain('no-store')
    const ask = (method: string, path: string) =>
      page.evaluate(
        async ([how = '', where = '']) => {
          const response = await fetch(where, { method: how })
          return {
            status: response.status,
            body: response.status === 200 ? await response.json() : null,
          }
        },
        [method, path],
      )
    expect(await ask('GET', '/auth/session')).toMatchObject({
      status: 200,
      body: { state: 'signed-in', user: { email } },
    })
    expect(await ask('POST', '/auth/logout')).toMatchObject({ status: 204 })
    expect(await ask('GET', '/auth/session')).toMatchObject({ body: { state: 'signed-out', user: null } })
  })
})
