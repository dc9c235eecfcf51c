import { setTimeout as sleep } from 'node:timers/promises'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { atOnce } from '../support/at-once.ts'
import { claimsOf } from '../support/jwt.ts'
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
  type World,
  withoutBrowser,
} from './support.ts'

// Several tabs of one person: they share one session, one refresh, one sign-out.

const TABS = 10

/** Tabs that are in the background until the test shows them. */
async function hideTabs(world: World): Promise<void> {
  await world.context.addInitScript(() => {
    let state = 'hidden'
    const page = (globalThis as unknown as { document: EventTarget }).document
    Object.defineProperty(page, 'visibilityState', { get: () => state })
    Object.assign(globalThis, {
      hide: () => {
        state = 'hidden'
      },
      show: () => {
        state = 'visible'
        page.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
      },
    })
  })
}

/**
 * Ten tabs sleep until their token has expired; then all of them are seen and used in the same moment.
 * @returns how often the issuer was asked in each round.
 */
async function wakeTogether(world: World, rounds = 1): Promise<{ refreshes: number[]; pages: Page[] }> {
  await hideTabs(world)
  await world.context.clock.install()
  const first = await world.open()
  await signIn(world, first)
  const pages = [first]
  while (pages.length < TABS) pages.push(await world.open())
  const refreshes: number[] = []
  while (refreshes.length < rounds) {
    const before = world.line.to('/refresh').length
    // The clocks of the pages go ahead by hours, as those of a laptop do when it is opened again.
    await world.context.clock.fastForward('02:00:00')
    expect(world.line.to('/refresh').length, 'all asleep').toBe(before)
    await Promise.all(pages.map((page) => page.evaluate('show(), Promise.all([api(), api()])')))
    await sleep(300)
    await Promise.all(pages.map((page) => page.evaluate('hide()')))
    refreshes.push(world.line.to('/refresh').length - before)
  }
  return { refreshes, pages }
}

const allUsers = (pages: Page[]) => Promise.all(pages.map(user))

describe.skipIf(withoutBrowser)('tabs', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('ten that wake up together ask once, and no call is refused', async () => {
    await using world = await createWorld(browser)
    // Several times: the lock, the news and the storage reach the tabs on different ways, and not always in this order.
    const { refreshes, pages } = await wakeTogether(world, 5)
    expect(refreshes).toEqual([1, 1, 1, 1, 1])
    expect(world.site.calls).toHaveLength(5 * 2 * TABS)
    expect(new Set(world.site.calls)).toEqual(new Set([200]))
    expect(new Set(await allUsers(pages))).toEqual(new Set([world.email]))
  })

  test('control: without Web Locks they ask more than once, and the server still ends nothing', async () => {
    await using world = await createWorld(browser)
    await world.context.addInitScript(() => {
      Object.defineProperty(Object.getPrototypeOf(navigator), 'locks', { value: undefined })
    })
    const { refreshes, pages } = await wakeTogether(world)
    expect(refreshes[0]).toBeGreaterThan(1)
    expect(new Set(world.site.calls)).toEqual(new Set([200]))
    expect(new Set(await allUsers(pages))).toEqual(new Set([world.email]))
  })

  test('ten that are opened together, as a browser does that restores its windows, ask once', async () => {
    await using world = await createWorld(browser)
    const first = await world.open()
    await signIn(world, first)
    await first.close()
    const pages = await atOnce(TABS, () => world.open('/blank'))
    const before = world.line.to('/refresh').length
    await Promise.all(pages.map((page) => page.evaluate('begin(), auth.ready')))
    expect(world.line.to('/refresh').length - before).toBe(1)
    expect(new Set(await allUsers(pages))).toEqual(new Set([world.email]))
  })

  test('a new tab gets its token from those that are open', async () => {
    await using world = await createWorld(browser)
    const first = await world.open()
    await signIn(world, first)
    const before = world.line.to('/refresh').length
    const second = await world.open()
    expect(await user(second)).toBe(world.email)
    expect(await api(second)).toBe(200)
    expect(world.line.to('/refresh').length).toBe(before)
  })

  test('signing in in one signs in the others; signing out in one signs out all', async () => {
    await using world = await createWorld(browser)
    const pages = [await world.open(), await world.open(), await world.open()] as const
    await signIn(world, pages[1])
    await eventually(() => allUsers([...pages])).toEqual([world.email, world.email, world.email])
    expect(await api(pages[0])).toBe(200)
    await pages[2].evaluate('auth.logout()')
    await eventually(() => allUsers([...pages])).toEqual([null, null, null])
    const begun = ['signed-out', null, 'found']
    expect(await pages[1].evaluate('changes')).toEqual([
      begun,
      ['signed-in', world.email, 'login'],
      ['signed-out', null, 'other-tab'],
    ])
    expect(await pages[2].evaluate('changes')).toEqual([
      begun,
      ['signed-in', world.email, 'other-tab'],
      ['signed-out', null, 'logout'],
    ])
    for (const page of pages) {
      expect(await users(page)).toEqual([world.email, null])
      expect(await page.evaluate('auth.getAccessToken().catch((error) => error.code)')).toBe('invalid_grant')
    }
  })

  test('signing out wins over a refresh that another tab has under way', async () => {
    await using world = await createWorld(browser)
    const [one, two] = [await world.open(), await world.open()]
    await signIn(world, one)
    await eventually(() => user(two)).toBe(world.email)
    let release = () => {}
    world.line.disturb('/refresh', async (forward, response) => {
      const answer = await forward()
      await new Promise<void>((resolve) => {
        release = resolve
      })
      deliver(response, answer)
    })
    const before = world.line.to('/refresh').length
    // From now on: the timers of both tabs are those from before, so only the one that is asked moves.
    await world.context.clock.install()
    await world.context.clock.fastForward('02:00:00')
    await one.evaluate('void auth.getAccessToken().catch(() => {})')
    await eventually(() => world.line.to('/refresh').length).toBe(before + 1)
    const out = two.evaluate('auth.logout()')
    await eventually(() => allUsers([one, two])).toEqual([null, null])
    await sleep(50)
    expect(world.line.to('/logout'), 'waits for its turn').toHaveLength(0)
    release()
    await out
    await sleep(200)
    expect(await allUsers([one, two])).toEqual([null, null])
    expect(await users(one)).toEqual([world.email, null])
    expect(await users(two)).toEqual([world.email, null])
    expect(await one.evaluate('auth.getAccessToken().catch((error) => error.code)')).toBe('invalid_grant')
    // By either tab, or by both: what one has written may reach the other's process too late to spare it the request.
    expect(new Set(world.line.to('/logout').map(({ status }) => status))).toEqual(new Set([204]))
    expect(await (await world.open()).evaluate('auth.user')).toBeNull()
  })

  test('a tab that is closed in the middle of a refresh leaves the session whole', async () => {
    await using world = await createWorld(browser, { REFRESH_GRACE_SECONDS: '1' })
    const [one, two] = [await world.open(), await world.open()]
    await signIn(world, one)
    await eventually(() => user(two)).toBe(world.email)
    const before = world.line.to('/refresh').length
    // Rotated, and the answer never comes.
    const end = world.line.disturb('/refresh', async (forward) => void (await forward()))
    // From now on: the timers of both tabs are those from before, so only the one that is asked moves.
    await world.context.clock.install()
    await world.context.clock.fastForward('02:00:00')
    await one.evaluate('void auth.getAccessToken().catch(() => {})')
    await eventually(() => world.line.to('/refresh').at(-1)?.status).toBe(200)
    await one.close()
    end()
    await sleep(1500)
    expect(await api(two)).toBe(200)
    const keys = world.line
      .to('/refresh')
      .slice(before)
      .map(({ headers }) => headers['idempotency-key'])
    expect(keys).toHaveLength(2)
    expect(new Set(keys).size, 'the second tab repeats the request of the first').toBe(1)
    expect(await user(two)).toBe(world.email)
  })

  test('another person signs in in another tab: no tab goes on as the first', async () => {
    await using world = await createWorld(browser)
    const [one, two] = [await world.open(), await world.open()]
    await signIn(world, one)
    const other = { email: `other-${world.email}`, password: world.password }
    await two.evaluate(`auth.register(${JSON.stringify(other)})`)
    await two.evaluate(`auth.login(${JSON.stringify(other)})`)
    await eventually(() => allUsers([one, two])).toEqual([other.email, other.email])
    const me = await one.evaluate(`auth.fetch('${world.line.url}/me').then((r) => r.json())`)
    expect(me).toMatchObject({ email: other.email })
  })

  test('a tab that heard nothing sees at its next call that somebody signed out, or in', async () => {
    await using world = await createWorld(browser)
    const one = await world.open()
    const deaf = await world.context.newPage()
    await deaf.addInitScript(() => {
      globalThis.BroadcastChannel = class {
        postMessage() {}
        addEventListener() {}
      } as never
    })
    await deaf.goto(world.site.origin)
    await deaf.waitForFunction('window.loaded')
    await signIn(world, one)
    // Chromium tells other processes what is in localStorage a moment later.
    await eventually(() => api(deaf)).toBe(200)
    const before = world.line.to('/refresh').length
    // Two that cannot tell each other do not take turns in refreshing: each keeps what it has.
    for (let i = 0; i < 5; i++) expect([await api(one), await api(deaf)]).toEqual([200, 200])
    expect(world.line.to('/refresh').length).toBe(before)
    await one.evaluate('auth.logout()')
    await eventually(() => deaf.evaluate('auth.getAccessToken().catch((error) => error.code)')).toBe('invalid_grant')
    expect(await user(deaf)).toBeNull()
  })

  test('a hidden tab waits until it is needed or seen', async () => {
    await using world = await createWorld(browser)
    await hideTabs(world)
    await world.context.clock.install()
    const page = await world.open()
    await signIn(world, page)
    const before = world.line.to('/refresh').length
    await world.context.clock.fastForward('02:00:00')
    await sleep(300)
    expect(world.line.to('/refresh').length).toBe(before)
    await page.evaluate('show()')
    await eventually(() => world.line.to('/refresh').length).toBe(before + 1)
    expect(await user(page)).toBe(world.email)
  })

  test('two clients of one page with different scopes share the session, each with its own token', async () => {
    await using world = await createWorld(browser, { SCOPES: 'orders:read' })
    const page = await world.open()
    await signIn(world, page)
    await page.evaluate(`window.other = createClient({ issuer: '${world.line.url}', scope: 'account' }), other.ready`)
    const before = world.line.to('/refresh').length
    const scopes = async (name: string) => {
      const token = await page.evaluate<string>(`${name}.getAccessToken()`)
      return claimsOf(token).scope
    }
    for (let i = 0; i < 5; i++) {
      expect(await scopes('auth')).toBe('account orders:read')
      expect(await scopes('other')).toBe('account')
    }
    expect(world.line.to('/refresh').length, 'neither takes the token from the other').toBe(before)
    await page.evaluate('other.logout()')
    await eventually(() => user(page)).toBeNull()
  })
})
