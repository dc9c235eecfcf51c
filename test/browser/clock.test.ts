import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createWorld, eventually, launchChromium, patience, signIn, user, users, withoutBrowser } from './support.ts'

// Tabs while the clock of the computer is wrong, and while it is set.

const HOUR = 3_600_000

describe.skipIf(withoutBrowser)('a wall clock that is set', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('back, and a token that is passed to a new tab then: it lives there no longer than where it came from', async () => {
    await using world = await createWorld(browser)
    // In the background: no tab refreshes ahead of expiry.
    await world.context.addInitScript(() => {
      const page = (globalThis as unknown as { document: object }).document
      Object.defineProperty(page, 'visibilityState', { get: () => 'hidden' })
    })
    await world.context.clock.install()
    const first = await world.open()
    await signIn(world, first)
    await world.context.clock.fastForward('06:00')
    await world.context.clock.setSystemTime(Date.now() - 5 * HOUR)
    const second = await world.open()
    expect(await user(second)).toBe(world.email)
    const passed = await second.evaluate<string>('auth.getAccessToken()')
    expect(passed, 'without a refresh').toBe(await first.evaluate('auth.getAccessToken()'))
    await world.context.clock.fastForward('05:00')
    expect(await second.evaluate('auth.getAccessToken()')).not.toBe(passed)
  })

  test('back by an hour after a sign-in: the next one, and the sign-out after it, are seen by tabs from before', async () => {
    await using world = await createWorld(browser)
    const ahead = await world.context.newPage()
    await ahead.addInitScript((milliseconds) => {
      const now = Date.now.bind(Date)
      Object.assign(globalThis, { setClock: () => (Date.now = now) })
      Date.now = () => now() + milliseconds
    }, HOUR)
    await ahead.goto(world.site.origin)
    await ahead.waitForFunction('window.loaded')
    await signIn(world, ahead)
    await ahead.evaluate('setClock()')

    const right = await world.open()
    expect(await user(right)).toBe(world.email)
    const other = { email: `other-${world.email}`, password: world.password }
    await right.evaluate(`auth.register(${JSON.stringify(other)})`)
    await right.evaluate(`auth.login(${JSON.stringify(other)})`)
    await eventually(() => user(ahead)).toBe(other.email)
    await signIn(world, ahead)
    await eventually(() => user(right)).toBe(world.email)

    // Counts at once in every tab, though the issuer has not been told.
    world.line.disturb('/logout', async () => {})
    await right.evaluate('void auth.logout().catch(() => {})')
    await eventually(() => user(ahead)).toBeNull()
    expect(await users(ahead)).toEqual([world.email, other.email, world.email, null])
  })

  test('back by an hour while the issuer is out of reach: a sign-out in a new tab reaches the others at once', async () => {
    await using world = await createWorld(browser)
    const ahead = await world.context.newPage()
    await ahead.addInitScript((milliseconds) => {
      const now = Date.now.bind(Date)
      Date.now = () => now() + milliseconds
    }, HOUR)
    await ahead.goto(world.site.origin)
    await ahead.waitForFunction('window.loaded')
    await signIn(world, ahead)
    // It cannot tell the new tab what it knows.
    await ahead.evaluate('BroadcastChannel.prototype.postMessage = () => {}')
    world.line.disturb('/refresh', async (_forward, response) => void response.destroy())
    world.line.disturb('/logout', async (_forward, response) => void response.destroy())
    const right = await world.open()
    expect(await user(right)).toBeNull()
    await right.evaluate('void auth.logout().catch(() => {})')
    await eventually(() => user(ahead)).toBeNull()
  })
})
