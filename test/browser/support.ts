import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'
import type { Client, createClient } from '../../sdk/browser/src/index.ts'
import { noteSecret } from '../support/canary.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { startServer } from '../support/server.ts'
import { type Line, openLine } from './line.ts'
import { openSite, type Site } from './pages.ts'

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
]
const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const program = process.env.CHROMIUM || PLACES.find((place) => existsSync(place))

/** The tests in this folder are skipped on a machine without a browser. In CI, where one is meant to be, they fail. */
export const withoutBrowser = !program && !process.env.CI
if (withoutBrowser) {
  console.warn('No Chromium was found: install it (Debian: apt-get install chromium) or name its program in CHROMIUM.')
}

/**
 * In CI once more: other tests, on the same cores, hold up for seconds what a browser does. What is broken fails twice.
 */
export const patience = { timeout: 60_000, retry: process.env.CI ? 1 : 0 }

/** @throws Error where there is none. */
export async function launchChromium(...more: string[]): Promise<Browser> {
  if (!program) throw new Error('There is no Chromium, and in CI these tests must run.')
  return await chromium.launch({ executablePath: program, args: [...ARGUMENTS, ...more] })
}

export interface World extends AsyncDisposable {
  /** Between the browser and the server; its URL is the issuer's. */
  line: Line
  site: Site
  context: BrowserContext
  /** Of the server's own database, for commands. */
  databaseUrl: string
  /** A tab with the app, whose client has found out whether there is a session. */
  open(path?: string): Promise<Page>
  email: string
  password: string
}

/** A server process of its own, a site with the app on another port, and a browser profile that has seen neither. */
export async function createWorld(browser: Browser, env: Record<string, string> = {}): Promise<World> {
  const [database, line, site] = await Promise.all([cloneDatabase(), openLine(), openSite()])
  site.issuer = line.url
  const server = await startServer({
    databaseUrl: database.url,
    env: { ISSUER: line.url, ALLOWED_ORIGINS: site.origin, ...env },
  })
  line.connect(server.url.replace('localhost', '127.0.0.1'))
  const context = await browser.newContext()
  const [email, password] = [`user-${randomUUID()}@example.com`, `a phrase of ${randomUUID()}`]
  noteSecret(password)
  const registered = await postJson(`${server.url}/register`, { email, password })
  if (registered.status !== 201) throw new Error(`registration was answered ${registered.status}`)
  return {
    line,
    site,
    context,
    databaseUrl: database.url,
    email,
    password,
    open: async (path = '/') => {
      const page = await context.newPage()
      await page.goto(site.origin + path)
      await page.waitForFunction('window.loaded')
      if (path === '/') await page.evaluate('auth.ready.catch(() => {})')
      return page
    },
    [Symbol.asyncDispose]: async () => {
      await context.close()
      await server.stop()
      await Promise.all([line[Symbol.asyncDispose](), site[Symbol.asyncDispose]()])
      await database.drop()
    },
  }
}

/** As the person does in one tab. */
export const signIn = (world: World, page: Page, remember = false): Promise<unknown> =>
  page.evaluate((login) => (globalThis as unknown as AppWindow).auth.login(login), {
    email: world.email,
    password: world.password,
    remember,
  })

/** What the app's page has in its window. */
export interface AppWindow {
  createClient: typeof createClient
  auth: Client
  /** Whom `onChange` told of, one after the other. */
  users: (string | null)[]
  /** What the app's calls of its API were answered. */
  statuses: number[]
  api(): Promise<number>
}

export const user = (page: Page): Promise<string | null> => page.evaluate('auth.user && auth.user.email')
export const users = (page: Page): Promise<(string | null)[]> => page.evaluate('users')
export const api = (page: Page): Promise<number> => page.evaluate('api()')

/** The refresh token as the browser keeps it. */
export async function refreshCookie(context: BrowserContext) {
  const found = (await context.cookies()).filter((cookie) => cookie.name === '__Host-refresh_token')
  return found[0]
}

/** Like `expect.poll`, on a machine that has much else to do. */
export const eventually = <T>(look: () => T | Promise<T>, message?: string) =>
  expect.poll(look, { timeout: 15_000, interval: 20, ...(message === undefined ? {} : { message }) })
