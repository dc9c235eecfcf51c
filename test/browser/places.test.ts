import type { Browser, Frame, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deliver } from './line.ts'
import { openSite } from './pages.ts'
import {
  api,
  createWorld,
  eventually,
  launchChromium,
  patience,
  refreshCookie,
  signIn,
  user,
  users,
  type World,
  withoutBrowser,
} from './support.ts'

// Pages in which the browser does not keep the issuer's cookie, and what becomes of a client that is closed. What a
// browser is not needed for is in test/sdk/browser-places.test.ts.

const asked = (world: World) => world.line.passed.filter(({ method }) => method !== 'OPTIONS').map(({ path }) => path)

/** @returns code, status and message of what each call rejects with, or what it resolves with. */
const outcome = (page: Page | Frame, call: string): Promise<unknown> =>
  page.evaluate(`${call}.catch((error) => [error.code, error.status, error.message])`)

const login = (world: World) => `auth.login(${JSON.stringify({ email: world.email, password: world.password })})`

/** Nothing is begun that cannot be kept, and the words name both sides. */
async function expectBlocked(page: Page | Frame, world: World, issuer = world.line.url): Promise<void> {
  const blocked = ['cookie_blocked', 0, expect.stringContaining(`no cookie of ${issuer} for ${world.site.origin}: `)]
  for (const call of ['auth.ready', login(world), 'auth.getAccessToken()', 'auth.logout()'])
    expect(await outcome(page, call), call).toEqual(blocked)
  expect(await page.evaluate('auth.user')).toBeNull()
  // Like everybody else who is not signed in.
  expect(await page.evaluate("auth.fetch('/api').then(({ status }) => status)")).toBe(401)
}

describe.skipIf(withoutBrowser)('the issuer’s cookie would not be kept', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium('--host-resolver-rules=MAP *.test 127.0.0.1')
  })
  afterAll(() => browser?.close())

  test.each([
    ['the issuer is on 127.0.0.1, the page on localhost', 'localhost', '127.0.0.1'],
    ['the page is on 127.0.0.1, the issuer on localhost', '127.0.0.1', 'localhost'],
    ['page and issuer are on a name of the LAN, without TLS', 'app.test', 'app.test'],
    ['the page is on a name of the LAN, without TLS', 'app.test', 'localhost'],
  ])('%s: said before anything is sent', async (_name, page, issuer) => {
    await using world = await createWorld(browser)
    const { origin } = world.site
    world.site.issuer = world.line.url.replace('localhost', issuer)
    world.site.origin = origin.replace('localhost', page)
    const tab = await world.open()
    await expectBlocked(tab, world, world.site.issuer)
    expect(asked(world)).toEqual([])
  })

  test('the page is in a frame of another site: likewise', async () => {
    await using world = await createWorld(browser)
    await using parent = await openSite()
    parent.html = `<iframe src="${world.site.origin}"></iframe>`
    const page = await world.context.newPage()
    await page.goto(`${parent.origin.replace('localhost', '127.0.0.1')}/bare`)
    const frame = page.frames()[1] as Frame
    await frame.waitForFunction('window.loaded')
    await expectBlocked(frame, world)
    expect(asked(world)).toEqual([])
  })

  test('a frame of the page’s own site, or of its own text, is as good as the page', async () => {
    await using world = await createWorld(browser)
    await using parent = await openSite()
    const page = await world.open()
    await signIn(world, page)
    parent.html = `<iframe src="${world.site.origin}"></iframe>`
    const framed = await world.context.newPage()
    await framed.goto(`${parent.origin}/bare`)
    await eventually(() => framed.frames()[1]?.evaluate('auth.ready.then(({ email }) => email)')).toBe(world.email)
    await page.evaluate(`(() => {
      const frame = document.createElement('iframe')
      frame.srcdoc = '<script type="module">import { createClient } from "${world.site.origin}/sdk.js"; window.auth = createClient({ issuer: "${world.line.url}" })</script>'
      document.body.append(frame)
    })()`)
    await eventually(() => page.frames()[1]?.evaluate('window.auth && auth.user && auth.user.email')).toBe(world.email)
    expect(await page.frames()[1]?.evaluate("auth.fetch('/api').then(({ status }) => status)"), 'its own origin').toBe(
      200,
    )
  })

  test('the issuer’s own words are passed on where it is the one who knows', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    const detail = 'The browser would drop the cookie: page and issuer are on different sites.'
    world.line.disturb('/login', async (_forward, response) =>
      deliver(response, {
        status: 403,
        headers: { 'access-control-allow-origin': world.site.origin, 'access-control-allow-credentials': 'true' },
        body: Buffer.from(JSON.stringify({ code: 'origin_not_allowed', title: 'Origin not allowed', detail })),
      }),
    )
    expect(await outcome(page, login(world))).toEqual(['origin_not_allowed', 403, detail])
  })

  describe('which nobody could know before', () => {
    test('the next load says so, once, and the page is signed out', async () => {
      await using world = await createWorld(browser)
      const page = await world.open()
      await signIn(world, page, true)
      await world.context.clearCookies()
      await page.reload()
      await page.waitForFunction('window.loaded')
      expect(await outcome(page, 'auth.ready')).toEqual([
        'cookie_blocked',
        401,
        expect.stringMatching(/^No session since the sign-in, unless it was ended\. The browser keeps no cookie of /),
      ])
      expect(await user(page)).toBeNull()
      await page.reload()
      await page.waitForFunction('window.loaded')
      expect(await page.evaluate('auth.ready')).toBeNull()
    })

    test('so does the first refresh, without a load', async () => {
      await using world = await createWorld(browser)
      // In the background, so that it does not refresh by itself.
      await world.context.addInitScript(() => {
        const page = (globalThis as unknown as { document: object }).document
        Object.defineProperty(page, 'visibilityState', { get: () => 'hidden' })
      })
      await world.context.clock.install()
      const page = await world.open()
      await signIn(world, page)
      await world.context.clearCookies()
      await world.context.clock.fastForward('02:00:00')
      expect(await outcome(page, 'auth.getAccessToken()')).toEqual([
        'cookie_blocked',
        401,
        expect.stringContaining('sign-in'),
      ])
      expect(await outcome(page, 'auth.getAccessToken()')).toEqual(['invalid_grant', 401, 'Sign in again'])
      await eventually(() => users(page)).toEqual([world.email, null])
    })

    test('control: a session that was refreshed has simply ended; so has one whose browser was closed meanwhile', async () => {
      await using world = await createWorld(browser)
      const page = await world.open()
      await signIn(world, page)
      await page.reload()
      await page.waitForFunction('window.loaded')
      expect(await page.evaluate('auth.ready.then(({ email }) => email)')).toBe(world.email)
      await world.context.clearCookies()
      await page.reload()
      await page.waitForFunction('window.loaded')
      expect(await page.evaluate('auth.ready')).toBeNull()

      await signIn(world, page)
      await page.close()
      await world.context.clearCookies()
      const next = await world.open()
      expect(await next.evaluate('auth.ready')).toBeNull()
    })
  })
})

describe.skipIf(withoutBrowser)('a client', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('in a worker has no session, and says why', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    await signIn(world, page)
    const before = asked(world).length
    const answers = await page.evaluate(`new Promise((resolve) => {
      const program = \`
        import { createClient } from '${world.site.origin}/sdk.js'
        const auth = createClient({ issuer: '${world.line.url}' })
        const code = (promise) => promise.then(String, (error) => error.code)
        postMessage(await Promise.all([
          code(auth.ready),
          code(auth.login({ email: 'ada@example.com', password: 'a long phrase' })),
          code(auth.getAccessToken()),
          code(auth.fetch('${world.line.url}/me')),
        ]))\`
      const worker = new Worker(URL.createObjectURL(new Blob([program], { type: 'text/javascript' })), { type: 'module' })
      worker.onmessage = ({ data }) => resolve(data)
    })`)
    expect(answers).toEqual(['null', 'no_storage', 'no_storage', 'no_storage'])
    expect(asked(world)).toHaveLength(before)
  })

  test('that is closed hears and does nothing; the page’s other client, and the session, go on', async () => {
    await using world = await createWorld(browser, { ACCESS_TOKEN_SECONDS: '5' })
    const page = await world.open()
    await signIn(world, page)
    await page.evaluate(`(async () => {
      window.told = []
      window.other = createClient({ issuer: '${world.line.url}' })
      await other.ready
      other.onChange((state, user) => told.push(user && user.email))
      auth.close()
      auth.close()
    })()`)
    for (const call of ['auth.getAccessToken()', login(world), 'auth.logout()', "auth.fetch('/api')"])
      expect(await outcome(page, call)).toEqual(['closed', 0, 'This client is closed'])
    await page.evaluate('other.logout()')
    await page.evaluate(login(world).replace('auth', 'other'))
    await eventually(() => page.evaluate('told')).toEqual([null, world.email])
    expect(await users(page)).toEqual([world.email])
    await page.evaluate("other.close(), dispatchEvent(new Event('focus')), dispatchEvent(new Event('online'))")
    const refreshes = world.line.to('/refresh').length
    // Ahead of expiry, at expiry, and when the page is seen again: nobody refreshes.
    await page.waitForTimeout(6000)
    await page.evaluate("dispatchEvent(new Event('pageshow'))")
    expect(world.line.to('/refresh')).toHaveLength(refreshes)
    await page.evaluate('begin()')
    expect(await api(page)).toBe(200)
    expect(await refreshCookie(world.context)).toBeDefined()
  })

  test('that is closed in the moment of the sign-out has signed out all tabs all the same', async () => {
    await using world = await createWorld(browser)
    const [page, other] = [await world.open(), await world.open()]
    await signIn(world, page)
    await eventually(() => user(other)).toBe(world.email)
    world.line.disturb('/logout', async () => {})
    await page.evaluate('void auth.logout().catch(() => {}), auth.close()')
    await eventually(() => user(other)).toBeNull()
  })
})
