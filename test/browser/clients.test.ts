import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../cli/support.ts'
import { testEnvironment } from '../support/app.ts'
import {
  createWorld,
  eventually,
  launchChromium,
  patience,
  signIn,
  user,
  type World,
  withoutBrowser,
} from './support.ts'

// Two applications of one browser, each with a client of its own: neither sees or ends the session of the other.

async function register(world: World): Promise<string> {
  const env = testEnvironment(world.databaseUrl)
  const { out, err } = await run(
    ['clients', 'add', 'shop', '--type', 'browser', '--origin', world.site.origin, '--json'],
    { env },
  )
  if (err) throw new Error(err)
  return (JSON.parse(out) as { client_id: string }).client_id
}

/** In the same page as the app's own client, of `web`. */
const begin = (world: World, page: Page, clientId: string) =>
  page.evaluate(`(async () => {
    window.shop = createClient({ issuer: '${world.line.url}', clientId: '${clientId}' })
    await shop.ready.catch(() => {})
    return shop.user && shop.user.email
  })()`)

const names = async ({ context }: World) =>
  (await context.cookies()).map(({ name }) => name).filter((name) => name.startsWith('__Host-refresh_token'))

describe.skipIf(withoutBrowser)('a registered client beside web, on one page', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('keeps a session of its own over reloads, and signs out of it alone', async () => {
    await using world = await createWorld(browser)
    const clientId = await register(world)
    const page = await world.open()
    expect(await begin(world, page, clientId)).toBeNull()
    const { email, password } = world
    const login = () => page.evaluate((given) => (globalThis as never as Window).shop.login(given), { email, password })
    // The server reads its clients every two seconds.
    await eventually(() => login().then(() => 'signed in', String)).toBe('signed in')
    expect(await user(page)).toBeNull()
    await signIn(world, page)
    expect((await names(world)).toSorted()).toEqual(['__Host-refresh_token', `__Host-refresh_token.${clientId}`])

    await page.reload()
    await page.waitForFunction('window.loaded')
    await eventually(() => user(page)).toBe(email)
    expect(await begin(world, page, clientId)).toBe(email)
    await page.evaluate('shop.logout()')
    expect(await names(world)).toEqual(['__Host-refresh_token'])

    await page.reload()
    await page.waitForFunction('window.loaded')
    await eventually(() => user(page)).toBe(email)
    expect(await begin(world, page, clientId)).toBeNull()
  })
})

interface Window {
  shop: { login(given: { email: string; password: string }): Promise<unknown> }
}
