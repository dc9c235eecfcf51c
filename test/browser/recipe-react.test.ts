import { execFile } from 'node:child_process'
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import { createServer, type ViteDevServer } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type OrdersIssuer, prepareIssuer } from '../recipes/issuer.ts'
import { installPackages } from '../recipes/node-packages.ts'
import { layOut, readRecipe } from '../recipes/page.ts'
import { type Service, startService, written } from '../recipes/start.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { freePort } from '../support/server.ts'
import { eventually, launchChromium, patience, withoutBrowser } from './support.ts'

// docs/recipes/react.md, as somebody has it who pastes its files: Vite's server, the orders service of fastify.md, Chromium.

const TSC = join(import.meta.dirname, '../../node_modules/typescript/bin/tsc')

describe.skipIf(withoutBrowser)('the recipe react', patience, () => {
  let folder: string
  let app: string
  let database: TestDatabase
  let issuer: OrdersIssuer
  let service: Service
  let vite: ViteDevServer
  let browser: Browser

  beforeAll(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'claviger-react-')))
    app = join(folder, 'app')
    database = await cloneDatabase()
    issuer = await prepareIssuer(database.url, {}, 'localhost')
    await issuer.start()
    const port = await freePort()
    const origin = `http://localhost:${port}`

    const orders = join(folder, 'orders')
    await layOut(await readRecipe('fastify'), orders)
    await writeFile(join(orders, 'package.json'), '{ "type": "module" }')
    await installPackages(orders, 'verifier', ['jose', 'fastify', '@fastify/cors'])
    const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}` }
    service = await startService(await readRecipe('fastify'), orders, { issuer: issuer.url, origin, env })

    await layOut(await readRecipe('react'), app)
    await writeFile(join(app, 'package.json'), '{ "type": "module" }')
    await installPackages(app, 'browser', ['react', 'react-dom', 'scheduler', 'vite', '@types', 'csstype'])
    const settings = join(app, 'src/auth.ts')
    const text = await readFile(settings, 'utf8')
    await writeFile(
      settings,
      text.replace(written.issuer, issuer.url).replace(`http://localhost:${written.port}`, service.url),
    )
    vite = await createServer({
      configFile: false,
      root: app,
      logLevel: 'error',
      server: { port, host: 'localhost', strictPort: true, hmr: false },
    })
    await vite.listen()
    browser = await launchChromium()
  }, 120_000)

  afterAll(async () => {
    await browser?.close()
    await vite?.close()
    await service?.[Symbol.asyncDispose]()
    await issuer?.[Symbol.asyncDispose]()
    await database?.drop()
    await rm(folder, { recursive: true, force: true })
  })

  const says = (page: Page) => eventually(() => page.locator('#root').innerText())
  const address = () => vite.resolvedUrls?.local[0] ?? ''

  async function signIn(page: Page, { email, password }: { email: string; password: string }) {
    await page.fill('input[name=email]', email)
    await page.fill('input[name=password]', password)
    await page.click('text=Sign in')
  }

  test('type-checks', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [TSC, '-p', app]).catch((error) => error)
    expect(stdout).toBe('')
  })

  test('signs in, stays signed in, and out in every tab', async () => {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(address())
    await page.check('input[name=remember]')
    await signIn(page, { ...issuer.accounts.clerk, password: 'not this one' })
    await says(page).toContain('The e-mail address or the password is wrong.')
    expect(await page.inputValue('input[name=email]')).toBe(issuer.accounts.clerk.email)
    expect(await page.isChecked('input[name=remember]')).toBe(true)
    expect(await page.inputValue('input[name=password]')).toBe('')
    await signIn(page, issuer.accounts.clerk)
    await says(page).toMatch(/^user-.*Orders of [0-9a-f-]{36}/s)
    await page.click('text=Place an order')
    await says(page).toContain('POST: 201')
    await page.click('text=Delete all')
    await says(page).toContain('DELETE: 204')

    await page.reload()
    await says(page).toContain(issuer.accounts.clerk.email)
    const other = await context.newPage()
    await other.goto(address())
    await says(other).toContain(issuer.accounts.clerk.email)
    await other.click('text=Sign out')
    await says(page).toContain('Stay signed in')
    await context.close()
  })

  test('without the role there is no button; while the server is down, the page waits for it', async () => {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(address())
    await signIn(page, issuer.accounts.visitor)
    await says(page).toContain('Orders of')
    expect(await page.locator('text=Delete all').count()).toBe(0)

    await issuer.stop()
    await page.click('text=Place an order')
    await says(page).toContain('POST: 201')
    await page.reload()
    await says(page).toBe('No connection. Trying again …')
    await issuer.start()
    await says(page).toContain('Orders of')
    await context.close()
  })
})
