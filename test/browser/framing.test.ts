import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createWorld, launchChromium, patience, signIn, user, withoutBrowser } from './support.ts'

// Proxies that pass a request on in another framing: a body that is absent becomes one of zero chunks (RFC 9112 §6).

describe.skipIf(withoutBrowser)('behind a proxy that sends everything in chunks', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('sign in, reload, sign out', async () => {
    await using world = await createWorld(browser)
    world.line.sendInChunks()
    const page = await world.open()
    expect(await page.evaluate('auth.ready')).toBeNull()
    await signIn(world, page)
    await page.reload()
    await page.waitForFunction('window.loaded')
    await page.evaluate('auth.ready')
    expect(await user(page)).toBe(world.email)
    await page.evaluate('auth.logout()')
    expect(world.line.to('/refresh').map(({ status }) => status)).toEqual([401, 200])
    expect(world.line.to('/logout').map(({ status }) => status)).toEqual([204])
  })

  test('a page that is closed in the moment of the sign-out still says so, in one request', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    await signIn(world, page)
    const before = world.line.passed.length
    await page.evaluate("void auth.logout(), void setTimeout(() => (location.href = 'about:blank'))")
    await page.waitForURL('about:blank')
    await page.close()
    await expect.poll(() => world.line.to('/logout').map(({ status }) => status)).toEqual([204])
    expect(world.line.passed.slice(before).filter(({ method }) => method === 'OPTIONS')).toEqual([])
  })
})
