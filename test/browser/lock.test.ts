import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deliver } from './line.ts'
import {
  api,
  createWorld,
  eventually,
  launchChromium,
  patience,
  signIn,
  user,
  users,
  withoutBrowser,
} from './support.ts'

// A tab that has the lock and does not let go of it: suspended by the system, or waiting for an answer that does not come.

/** Takes the lock that tabs refresh under, for as long as the page is there. */
const keepLock = (page: Page): Promise<unknown> =>
  page.evaluate(`new Promise((resolve) => {
    const name = Object.keys(localStorage).find((each) => each.startsWith('claviger_'))
    navigator.locks.request(name, () => (resolve(), new Promise(() => {})))
  })`)

describe.skipIf(withoutBrowser)('a lock that is not given back', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('is taken away after as long as a caller is patient, once for all', async () => {
    await using world = await createWorld(browser)
    await world.context.clock.install()
    const page = await world.open()
    await signIn(world, page)
    const orphan = await world.open('/blank')
    await keepLock(orphan)
    await page.reload()
    await page.waitForFunction('window.loaded')
    await eventually(async () => {
      await world.context.clock.fastForward(1000)
      return user(page)
    }).toBe(world.email)
    // The clock of the page stands still: whoever waits for the lock would wait for ever.
    await world.context.clock.pauseAt(Date.now() + 3_600_000)
    expect(await api(page)).toBe(200)
    await page.evaluate('auth.logout()')
    await signIn(world, page)
    expect(await user(page)).toBe(world.email)
  })

  test('a caller waits for it as long as for an issuer in trouble, not longer', async () => {
    await using world = await createWorld(browser)
    await world.context.clock.install()
    const page = await world.open()
    await signIn(world, page)
    await keepLock(await world.open('/blank'))
    const before = world.line.to('/refresh').length
    await page.reload()
    await page.waitForFunction('window.loaded')
    await world.context.clock.runFor(9000)
    expect(world.line.to('/refresh').length).toBe(before)
    await world.context.clock.runFor(3000)
    await eventually(() => world.line.to('/refresh').length).toBe(before + 1)
    await eventually(() => user(page)).toBe(world.email)
  })

  test('taken from a tab that is only slow: it gets its own answer all the same, and the session stays whole', async () => {
    await using world = await createWorld(browser)
    await world.context.clock.install()
    const [slow, quick] = [await world.open(), await world.open()]
    await signIn(world, slow)
    await eventually(() => user(quick)).toBe(world.email)
    let answer = () => {}
    const end = world.line.disturb('/refresh', async (forward, response) => {
      const answered = await forward()
      await new Promise<void>((resolve) => {
        answer = resolve
      })
      deliver(response, answered)
    })
    const before = world.line.to('/refresh').length
    await world.context.clock.fastForward('02:00:00')
    await slow.evaluate('void (window.asked = auth.getAccessToken().then(() => "a token", String))')
    await eventually(() => world.line.to('/refresh').at(-1)?.status).toBe(200)
    end()
    await quick.evaluate('void (window.asked = auth.getAccessToken().then(() => "a token", String))')
    await world.context.clock.runFor(12_000)
    await eventually(() => world.line.to('/refresh').length).toBe(before + 2)
    expect(await quick.evaluate('asked')).toBe('a token')
    answer()
    expect(await slow.evaluate('asked')).toBe('a token')
    const keys = world.line.to('/refresh').slice(before)
    expect(new Set(keys.map(({ headers }) => headers['idempotency-key'])).size, 'one exchange').toBe(1)
    await world.context.clock.fastForward('02:00:00')
    expect(await api(slow)).toBe(200)
    expect(await api(quick)).toBe(200)
    expect(await users(slow)).toEqual([world.email])
    expect(await users(quick)).toEqual([world.email])
  })
})
