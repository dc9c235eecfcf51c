import { setTimeout as sleep } from 'node:timers/promises'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type AppWindow,
  api,
  createWorld,
  eventually,
  launchChromium,
  patience,
  refreshCookie,
  signIn,
  user,
  users,
  withoutBrowser,
} from './support.ts'

// One tab in real Chromium: signing in, coming back, living past expiry, signing out, and what the browser keeps.

describe.skipIf(withoutBrowser)('one tab', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('sign in, call an API and the issuer, reload, sign out', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    expect(await user(page)).toBeNull()
    expect(await api(page), 'signed out, the request goes without a token').toBe(401)

    await signIn(world, page)
    expect(await user(page)).toBe(world.email)
    expect(await api(page)).toBe(200)
    const me = await page.evaluate(`auth.fetch('${world.line.url}/me').then((r) => r.json())`)
    expect(me).toMatchObject({ email: world.email })

    await page.reload()
    await page.waitForFunction('window.loaded')
    expect(await page.evaluate('auth.ready.then((found) => found.email)')).toBe(world.email)
    expect(await api(page)).toBe(200)
    expect(world.line.to('/refresh').map(({ status }) => status)).toEqual([401, 200])

    await page.evaluate('auth.logout()')
    expect(await user(page)).toBeNull()
    expect(await users(page)).toEqual([world.email, null])
    expect(await refreshCookie(world.context)).toBeUndefined()
    await page.reload()
    await page.waitForFunction('window.loaded')
    expect(await page.evaluate('auth.ready')).toBeNull()
  })

  test('the cookie as the browser sees it', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    await signIn(world, page)
    expect(await refreshCookie(world.context)).toMatchObject({
      // Without a dot: for this host alone.
      domain: 'localhost',
      path: '/',
      httpOnly: true,
      secure: true,
      sameSite: 'Strict',
      // Until the browser is closed.
      expires: -1,
      value: expect.stringMatching(/^rt1_/),
    })
    await signIn(world, page, true)
    const { expires } = (await refreshCookie(world.context)) ?? { expires: 0 }
    expect(expires - Date.now() / 1000).toBeGreaterThan(13 * 86_400)
    expect(expires - Date.now() / 1000).toBeLessThan(31 * 86_400)
  })

  test('scripts find no token in any storage', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    await signIn(world, page, true)
    await page.reload()
    await page.waitForFunction('window.loaded')
    await page.evaluate('auth.ready')
    const kept = await page.evaluate(async () => {
      const window = globalThis as unknown as {
        document: { cookie: string }
        localStorage: object
        sessionStorage: object
        indexedDB: { databases(): Promise<unknown[]> }
        caches: { keys(): Promise<string[]> }
      }
      return JSON.stringify([
        window.document.cookie,
        { ...window.localStorage },
        { ...window.sessionStorage },
        await window.indexedDB.databases(),
        await window.caches.keys(),
      ])
    })
    expect(kept).toContain('claviger_')
    expect(kept).not.toContain('rt1_')
    expect(kept).not.toMatch(/eyJ/)
    expect(kept, 'nor the key of an exchange that is answered').not.toContain('key')
    expect(kept).not.toContain(world.email)
  })

  test('a token that lives five seconds, an app that calls all the time: no call is refused', async () => {
    await using world = await createWorld(browser, { ACCESS_TOKEN_SECONDS: '5' })
    const page = await world.open()
    await signIn(world, page)
    const end = performance.now() + 11_000
    while (performance.now() < end) {
      await api(page)
      await sleep(150)
    }
    expect(new Set(world.site.calls)).toEqual(new Set([200]))
    const refreshes = world.line.to('/refresh').filter(({ status }) => status === 200).length
    // Every four seconds or so: ahead of expiry, and no more often than that.
    expect(refreshes).toBeGreaterThanOrEqual(2)
    expect(refreshes).toBeLessThanOrEqual(3)
  })

  test('the token goes to the issuer and the own origin, never elsewhere, nor there by a redirect', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    await signIn(world, page)
    const asked: [string, string | undefined][] = []
    // Answered by the test itself: both origins exist in the browser only.
    for (const host of ['https://orders.example', 'https://foreign.example']) {
      await world.context.route(`${host}/**`, async (route) => {
        const request = route.request()
        asked.push([request.url(), (await request.allHeaders()).authorization])
        const cors = { 'access-control-allow-origin': '*', 'access-control-allow-headers': 'authorization' }
        if (request.url().endsWith('/redirect'))
          await route.fulfill({ status: 302, headers: { ...cors, location: 'https://foreign.example/target' } })
        else await route.fulfill({ status: 200, headers: cors, body: '{}' })
      })
    }
    await page.evaluate(async (issuer) => {
      const { auth, createClient } = globalThis as unknown as AppWindow
      await auth.fetch('https://foreign.example/plain')
      await auth.fetch('https://orders.example/not-listed')
      const other = createClient({ issuer, resources: ['https://orders.example'] })
      await other.ready
      await other.fetch('https://orders.example/listed')
      await other.fetch('https://foreign.example/plain')
    }, world.line.url)
    const bearer = expect.stringMatching(/^Bearer ey/)
    expect(asked).toEqual([
      ['https://foreign.example/plain', undefined],
      ['https://orders.example/not-listed', undefined],
      ['https://orders.example/listed', bearer],
      ['https://foreign.example/plain', undefined],
    ])
  })

  test('offline it waits and keeps the person signed in; online again it goes on by itself', async () => {
    await using world = await createWorld(browser, { ACCESS_TOKEN_SECONDS: '5' })
    const page = await world.open()
    await signIn(world, page)
    await world.context.setOffline(true)
    await sleep(5500)
    expect(await user(page)).toBe(world.email)
    expect(await page.evaluate('auth.getAccessToken().catch((error) => error.code)')).toBe('network')
    const before = world.line.to('/refresh').length
    await world.context.setOffline(false)
    // Nobody calls it: `online` does.
    await eventually(() => world.line.to('/refresh').length).toBe(before + 1)
    expect(await api(page)).toBe(200)
    expect(await users(page)).toEqual([world.email])
  })

  test('where localStorage is refused it works all the same', async () => {
    await using world = await createWorld(browser)
    await world.context.addInitScript(() => {
      Object.defineProperty(globalThis, 'localStorage', {
        get() {
          throw new DOMException('refused', 'SecurityError')
        },
      })
    })
    const page = await world.open()
    await signIn(world, page)
    await page.reload()
    await page.waitForFunction('window.loaded')
    expect(await page.evaluate('auth.ready.then((found) => found.email)')).toBe(world.email)
    await page.evaluate('auth.logout()')
    expect(await user(page)).toBeNull()
  })

  test('asleep past expiry and awake again: one refresh, without a call that fails', async () => {
    await using world = await createWorld(browser)
    await world.context.clock.install()
    const page = await world.open()
    await signIn(world, page)
    const refreshes = () => world.line.to('/refresh').filter(({ status }) => status === 200).length
    await world.context.clock.fastForward('00:07:00')
    await sleep(200)
    expect(refreshes(), 'not yet').toBe(0)
    await world.context.clock.fastForward('00:02:00')
    await eventually(refreshes, 'ahead of expiry, by its own timer').toBe(1)
    await world.context.clock.fastForward('08:00:00')
    expect(await api(page)).toBe(200)
    await sleep(200)
    expect(refreshes()).toBe(2)
    expect(await user(page)).toBe(world.email)
  })
})
