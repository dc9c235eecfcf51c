import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
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

// Pages on which nobody is signed in: what they ask the issuer, and how they came to be like that.

const refreshes = (world: World) => world.line.to('/refresh').length

/** Loads the page once more. @returns what its client told, once it knows whether there is a session. */
async function reload(page: Page): Promise<unknown> {
  await page.reload()
  await page.waitForFunction('window.loaded')
  await page.evaluate('auth.ready.catch(() => {})')
  return page.evaluate('changes')
}

const nobody = [['signed-out', null, 'found']]

describe.skipIf(withoutBrowser)('where nobody is signed in', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('the issuer is asked at the first visit and never again, and the console stays clean', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    expect(refreshes(world)).toBe(1)
    const errors: string[] = []
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
    for (let i = 0; i < 3; i++) expect(await reload(page)).toEqual(nobody)
    expect(await (await world.open()).evaluate('auth.ready')).toBeNull()
    expect(await page.evaluate('auth.getAccessToken().catch((error) => error.code)')).toBe('invalid_grant')
    expect(refreshes(world)).toBe(1)
    expect(errors).toEqual([])
  })

  test('nor after a sign-out, in whichever tab', async () => {
    await using world = await createWorld(browser)
    const [page, other] = [await world.open(), await world.open()]
    await signIn(world, page)
    expect(await reload(page)).toEqual([['signed-in', world.email, 'found']])
    const before = refreshes(world)
    await other.evaluate('auth.logout()')
    expect(await reload(page)).toEqual(nobody)
    expect(await reload(other)).toEqual(nobody)
    expect(refreshes(world)).toBe(before)
  })

  test('but a sign-in ends that, in all tabs and after a reload', async () => {
    await using world = await createWorld(browser)
    const [page, other] = [await world.open(), await world.open()]
    await reload(other)
    await signIn(world, page)
    await eventually(() => user(other)).toBe(world.email)
    await page.close()
    expect(await reload(other)).toEqual([['signed-in', world.email, 'found']])
  })

  test('it is asked where somebody is led back to who has signed in elsewhere', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    // As another app does: with the cookie, and without a word to this one.
    await page.evaluate(`fetch('${world.line.url}/login', {
      method: 'POST', credentials: 'include', headers: { 'content-type': 'application/json' },
      body: ${JSON.stringify(JSON.stringify({ email: world.email, password: world.password }))}
    })`)
    expect(await reload(page), 'nobody has told').toEqual(nobody)
    expect(refreshes(world)).toBe(1)
    const back = await world.context.newPage()
    await back.goto(`${world.site.origin}/#signed-in`)
    await back.waitForFunction('window.loaded')
    expect(await back.evaluate('auth.ready.then(({ email }) => email)')).toBe(world.email)
    await eventually(() => user(page)).toBe(world.email)
  })

  test('it is asked when the app says so', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    await reload(page)
    expect(await page.evaluate('auth.refresh()')).toBeNull()
    expect(refreshes(world)).toBe(2)
    expect(await page.evaluate('changes')).toEqual(nobody)
  })

  test('it is asked once by another release of the package, and once where storage was cleared', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    await page.evaluate(`(() => {
      for (const name of Object.keys(localStorage))
        localStorage.setItem(name, JSON.stringify({ ...JSON.parse(localStorage.getItem(name)), none: '0.0.1' }))
    })()`)
    await reload(page)
    await reload(page)
    expect(refreshes(world)).toBe(2)
    await page.evaluate('localStorage.clear()')
    await reload(page)
    await reload(page)
    expect(refreshes(world)).toBe(3)
  })

  test('an outage is no such answer', async () => {
    await using world = await createWorld(browser)
    const end = world.line.disturb('/refresh', async (_forward, response) => void response.destroy())
    const page = await world.open()
    expect(await page.evaluate('changes')).toEqual([['unreachable', null, 'unreachable']])
    const before = refreshes(world)
    end()
    // By itself: it is visible.
    await eventually(() => page.evaluate('changes')).toEqual([['unreachable', null, 'unreachable'], ...nobody])
    expect(refreshes(world)).toBeGreaterThan(before)
    expect(await page.evaluate('auth.state')).toBe('signed-out')
  })
})

describe.skipIf(withoutBrowser)('why a page is signed out after a load', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('the session was ended elsewhere', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    await signIn(world, page)
    await reload(page)
    await page.evaluate(`auth.fetch('${world.line.url}/sessions?including_current=true', { method: 'DELETE' })`)
    expect(await reload(page)).toEqual([['signed-out', null, 'ended']])
  })

  test('it was not used for too long', async () => {
    await using world = await createWorld(browser, { SESSION_IDLE_SECONDS: '2', ACCESS_TOKEN_SECONDS: '5' })
    const page = await world.open()
    await signIn(world, page)
    await page.goto('about:blank')
    await page.waitForTimeout(2500)
    await page.goto(world.site.origin)
    await page.waitForFunction('window.loaded')
    await page.evaluate('auth.ready.catch(() => {})')
    expect(await page.evaluate('changes')).toEqual([['signed-out', null, 'expired']])
  })

  test('the browser was closed: nobody ended anything', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    await signIn(world, page)
    await reload(page)
    await page.close()
    // With the browser go its session cookies, and what tabs keep.
    await world.context.clearCookies()
    expect(await (await world.open()).evaluate('changes')).toEqual(nobody)
  })
})
