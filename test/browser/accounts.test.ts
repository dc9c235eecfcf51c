import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import { createServer, type Plugin, type ViteDevServer } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Inbox, startInbox } from '../../dev/demo/inbox.ts'
import { installPackages } from '../recipes/node-packages.ts'
import { layOut, readRecipe } from '../recipes/page.ts'
import { written } from '../recipes/start.ts'
import { noteSecret } from '../support/canary.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { freePort, type RunningProcess, startServer } from '../support/server.ts'
import { eventually, launchChromium, patience, withoutBrowser } from './support.ts'

// docs/accounts.md, as somebody has it who pastes its files: Vite's server, a mail server, Chromium.

const TSC = join(import.meta.dirname, '../../node_modules/typescript/bin/tsc')

/** One page for all that mails lead to, as the text asks for. */
const pagesOfMails: Plugin = {
  name: 'pages-of-mails',
  configureServer: ({ middlewares }) => {
    middlewares.use((request, _response, next) => {
      if (/^\/(verify|reset|email|undo|invitation)$/.test(request.url ?? '')) request.url = '/account.html'
      next()
    })
  },
}

const phrase = (): string => {
  const password = `a phrase of ${randomUUID()}`
  noteSecret(password)
  return password
}

describe.skipIf(withoutBrowser)('docs/accounts.md', patience, () => {
  let app: string
  let origin: string
  let database: TestDatabase
  let inbox: Inbox
  let server: RunningProcess
  let vite: ViteDevServer
  let browser: Browser

  beforeAll(async () => {
    app = await realpath(await mkdtemp(join(tmpdir(), 'claviger-accounts-')))
    ;[database, inbox] = await Promise.all([cloneDatabase(), startInbox()])
    const [port, issuerPort] = [await freePort(), await freePort()]
    origin = `http://localhost:${port}`
    const issuer = `http://localhost:${issuerPort}`
    server = await startServer({
      databaseUrl: database.url,
      env: {
        PORT: String(issuerPort),
        ISSUER: issuer,
        ALLOWED_ORIGINS: origin,
        SMTP_URL: inbox.url,
        MAIL_FROM: 'no-reply@example.com',
        APP_URL: `${origin}/{page}#token={token}`,
      },
    })
    await layOut(await readRecipe('../accounts'), app)
    await writeFile(join(app, 'package.json'), '{ "type": "module" }')
    await installPackages(app, 'browser', ['vite'])
    for (const name of ['main.ts', 'account.ts']) {
      const code = await readFile(join(app, name), 'utf8')
      expect(code).toContain(written.issuer)
      await writeFile(join(app, name), code.replace(written.issuer, issuer))
    }
    vite = await createServer({
      configFile: false,
      root: app,
      logLevel: 'error',
      plugins: [pagesOfMails],
      server: { port, host: 'localhost', strictPort: true, hmr: false },
    })
    await vite.listen()
    browser = await launchChromium()
  }, 120_000)

  afterAll(async () => {
    await browser?.close()
    await vite?.close()
    await server?.stop()
    await inbox?.close()
    await database?.drop()
    await rm(app, { recursive: true, force: true })
  })

  const post = async (path: string, body: object) => (await postJson(server.url + path, body)).status
  const says = (page: Page) => eventually(() => page.locator('body').innerText())

  const read = new Set<string>()
  /** The link and the code of the next mail to an address that leads to a page. */
  async function mailed(to: string, page: string): Promise<{ link: string; code: string }> {
    const find = () =>
      inbox
        .mails()
        .find((mail) => mail.to === to && !read.has(mail.id) && mail.text.includes(`${origin}/${page}#token=`))
    await eventually(() => find()?.to).toBe(to)
    const { id, text } = find() as NonNullable<ReturnType<typeof find>>
    read.add(id)
    const [link = ''] = /http\S+#token=\S+/.exec(text) ?? []
    const [code = ''] = /^\d{4} \d{4}$/m.exec(text) ?? []
    noteSecret(link.split('#token=')[1] ?? '')
    return { link, code }
  }

  async function fill(page: Page, values: Record<string, string>): Promise<void> {
    for (const [name, value] of Object.entries(values)) await page.fill(`[name=${name}]`, value)
    await page.click('text=Go on')
  }

  /** Makes an account by the pages of the text. */
  async function makeAccount(page: Page, password: string): Promise<string> {
    const email = `user-${randomUUID()}@example.com`
    expect(await post('/register', { email, password })).toBe(202)
    await page.goto((await mailed(email, 'verify')).link)
    await fill(page, { password })
    await says(page).toContain('Your address is confirmed.')
    return email
  }

  test('its files type-check', async () => {
    const options = '--strict --noEmit --target es2022 --module esnext --moduleResolution bundler'.split(' ')
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [TSC, ...options, '--types', '', '--lib', 'es2022,dom,dom.iterable', 'main.ts', 'account.ts'],
      { cwd: app },
    ).catch((error) => error)
    expect(stdout).toBe('')
  })

  test('with the server’s pages, people come back to where they were', async () => {
    const context = await browser.newContext()
    const page = await context.newPage()
    const password = phrase()
    const email = await makeAccount(page, password)
    await page.goto(`${origin}/orders?of=ada#latest`)
    await page.click('text=Sign in')
    await page.fill('[name=email]', email)
    await page.fill('[name=password]', password)
    await page.click('form [type=submit]')
    await page.waitForURL(`${origin}/orders?of=ada#latest`)
    await says(page).toContain(email)
    await page.click('text=Your account')
    await page.locator('main', { hasText: email }).waitFor()
    await page.goBack()
    await page.click('text=Sign out')
    await says(page).toBe('Sign in Make an account')
    await context.close()
  })

  test('with one’s own, a link is good once, and nothing happens before the click', async () => {
    const page = await browser.newPage()
    const [email, password] = [`user-${randomUUID()}@example.com`, phrase()]
    expect(await post('/register', { email, password })).toBe(202)
    const { link } = await mailed(email, 'verify')
    await page.goto(link)
    await says(page).toContain('Confirm your address')
    expect(page.url()).toBe(`${origin}/verify`)
    expect(await page.locator('input:visible').count(), 'the password').toBe(1)
    expect(await post('/login', { email, password, client_id: 'native' })).toBe(403)
    await fill(page, { password })
    await says(page).toContain('Your address is confirmed.')
    expect(await post('/login', { email, password, client_id: 'native' })).toBe(200)
    await page.evaluate(`location.assign(${JSON.stringify(link)})`)
    await fill(page, { password })
    await says(page).toContain('This link or code is no longer good.')
    await page.close()
  })

  test('without the link, by the code; a password that is refused uses nothing up', async () => {
    const page = await browser.newPage()
    const email = await makeAccount(page, phrase())
    expect(await post('/password/forgot', { email })).toBe(202)
    const [{ code }, next] = [await mailed(email, 'reset'), phrase()]
    await page.goto(`${origin}/reset`)
    await fill(page, { email, code, password: 'short' })
    await says(page).toContain('This password is too short.')
    await fill(page, { email, code, password: next })
    await says(page).toContain('The password is set.')
    expect(await post('/login', { email, password: next, client_id: 'native' })).toBe(200)
    await page.goto(`${origin}/undo`)
    await says(page).toBe('Open the link in the mail.')
    await page.close()
  })

  test('another address, and back', async () => {
    const page = await browser.newPage()
    const [password, next] = [phrase(), `next-${randomUUID()}@example.org`]
    const email = await makeAccount(page, password)
    const login = await postJson(`${server.url}/login`, { email, password, client_id: 'native' })
    const { access_token } = (await login.json()) as { access_token: string }
    const asked = await fetch(`${server.url}/email`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${access_token}` },
      body: JSON.stringify({ email: next, current_password: password }),
    })
    expect(asked.status).toBe(202)
    await page.goto((await mailed(next, 'email')).link)
    await fill(page, {})
    await says(page).toContain('This is your address now.')
    await page.goto((await mailed(email, 'undo')).link)
    await fill(page, {})
    await says(page).toContain('The old address is back.')
    await page.goto((await mailed(email, 'reset')).link)
    await says(page).toContain('Choose a new password')
    await page.close()
  })
})
