import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { atOnce } from '../support/at-once.ts'
import { BOUND, binding, createBoundWorld, me, refreshed, reload, statuses } from './bound.ts'
import { eventually, launchChromium, patience, refreshCookie, signIn, user, withoutBrowser } from './support.ts'

// Sessions that are bound to a key which the browser keeps. What that takes of proofs: test/sdk/browser-bound.test.ts.

/** What the browser keeps, as a script of the page finds it. @returns whether it could read each private key. */
const readKeys = (page: Page) =>
  page.evaluate(`(async () => {
    const asked = (request) => new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    })
    const read = []
    for (const { name } of await indexedDB.databases()) {
      const database = await asked(indexedDB.open(name))
      for (const { privateKey } of await asked(database.transaction('keys').objectStore('keys').getAll()))
        for (const format of ['jwk', 'pkcs8'])
          read.push(await crypto.subtle.exportKey(format, privateKey).then(() => 'read', ({ name }) => name))
      database.close()
    }
    return read
  })()`)

describe.skipIf(withoutBrowser)('a session that is bound to a key', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('sign in, call the issuer, reload, sign out: all with one key, which no script can read', async () => {
    await using world = await createBoundWorld(browser)
    const page = await world.open()
    expect(await binding(page), 'known before anybody signs in').toEqual({ ...BOUND, bound: false })
    await signIn(world, page)
    const first = await binding(page)
    expect(first).toEqual(BOUND)
    expect(await me(world, page)).toBe(200)
    expect(world.line.to('/me')[0]?.headers.authorization).toMatch(/^DPoP ey/)
    expect(await readKeys(page)).toEqual(['InvalidAccessError', 'InvalidAccessError'])

    await reload(page)
    expect(await user(page)).toBe(world.email)
    expect(await binding(page)).toEqual(first)
    expect(await me(world, page)).toBe(200)
    await page.evaluate('auth.logout()')
    expect(await user(page)).toBeNull()
    await signIn(world, page)
    expect(await binding(page), 'a sign-out leaves the key').toEqual(first)
    expect(world.line.passed.filter(({ status = 0 }) => status === 400)).toEqual([])
  })

  test('what is stolen is refused without the key, and the owner goes on', async () => {
    await using world = await createBoundWorld(browser)
    const page = await world.open()
    await signIn(world, page)
    const token = await page.evaluate<string>('auth.getAccessToken()')
    const asBearer = await fetch(`${world.line.url}/me`, { headers: { authorization: `Bearer ${token}` } })
    expect(asBearer.status).toBe(401)

    const thief = await browser.newContext()
    const cookie = await refreshCookie(world.context)
    await thief.addCookies(cookie ? [cookie] : [])
    for (const options of [{ dpop: false }, { dpop: true }]) {
      world.site.options = options
      const theirs = await thief.newPage()
      await theirs.goto(world.site.origin)
      await theirs.waitForFunction('window.loaded')
      expect(await theirs.evaluate('auth.ready')).toBeNull()
      expect(await theirs.evaluate('[auth.state, auth.cause]')).toEqual(['signed-out', 'key-lost'])
      const proved = `auth.fetch('${world.line.url}/me', { headers: { authorization: 'Bearer ${token}' } })`
      const outcome = await theirs.evaluate(`${proved}.then(({ status }) => status, ({ code }) => code)`)
      // A client that binds does not even send it.
      expect(outcome).toBe(options.dpop ? 'key_blocked' : 401)
      await theirs.close()
    }
    await thief.close()
    expect(await refreshed(page)).toBe(world.email)
    expect(await me(world, page)).toBe(200)
  })

  test('ten tabs that start at once end with one key, and pass its tokens on', async () => {
    await using world = await createBoundWorld(browser)
    // Slow, so that each finds that there is none and makes one.
    await world.context.addInitScript(() => {
      const { generateKey } = SubtleCrypto.prototype
      SubtleCrypto.prototype.generateKey = async function (this: SubtleCrypto, ...given: never[]) {
        await new Promise((resolve) => setTimeout(resolve, 1000))
        return (await Reflect.apply(generateKey, this, given)) as never
      }
    })
    const pages = await atOnce(10, () => world.open('/blank'))
    await Promise.all(pages.map((page) => page.evaluate('begin(), auth.ready')))
    const keys = await Promise.all(pages.map(binding))
    expect(new Set(keys.map((key) => key?.jkt)).size).toBe(1)
    await signIn(world, pages[0] as Page)
    for (const page of pages) {
      await eventually(() => user(page)).toBe(world.email)
      expect(await binding(page)).toEqual(BOUND)
      expect(await me(world, page)).toBe(200)
    }
    expect(statuses(world, '/refresh').filter((status) => status === 200)).toEqual([])
    await reload(pages[9] as Page, '/blank')
    expect(await refreshed(pages[9] as Page)).toBe(world.email)
  })

  test('a session of the issuer’s own page is bound to the key of the app that led there', async () => {
    await using world = await createBoundWorld(browser)
    const page = await world.open()
    const url = await page.evaluate<string>("import('/sdk.js').then(({ signInUrl }) => signInUrl(auth))")
    expect(new URL(url).searchParams.get('dpop_jkt')).toBe((await binding(page))?.jkt)
    // As a link, because an address that is typed sends no strict cookie along.
    await page.evaluate(
      `document.body.append(Object.assign(document.createElement('a'), { href: '${url}', textContent: 'There' }))`,
    )
    await page.getByText('There', { exact: true }).click()
    await page.fill('[name=email]', world.email)
    await page.fill('[name=password]', world.password)
    await page.click('form [type=submit]')
    await page.waitForURL(`${world.site.origin}/`)
    await page.waitForFunction('window.loaded')
    await page.evaluate('auth.ready')
    expect(await user(page)).toBe(world.email)
    expect(await binding(page)).toEqual(BOUND)
    expect(await me(world, page)).toBe(200)
  })

  test('before its key is known, a client names no page that would begin a session without it', async () => {
    await using world = await createBoundWorld(browser)
    const page = await world.open('/blank')
    const early =
      "import('/sdk.js').then(({ signInUrl }) => (begin(), signInUrl(auth))).catch(({ message }) => message)"
    expect(await page.evaluate(early)).toContain('await `ready`')
  })

  test('where nonces are required', async () => {
    await using world = await createBoundWorld(browser, { DPOP_NONCE: 'required' })
    const page = await world.open()
    await signIn(world, page)
    expect(await me(world, page)).toBe(200)
    await reload(page)
    expect(await user(page)).toBe(world.email)
    expect(await me(world, page)).toBe(200)
    expect(statuses(world, '/login')).toEqual([200])
    expect(statuses(world, '/me')).toEqual([200, 200])
    const [first, second] = world.line.to('/refresh').slice(-2)
    expect([first?.status, second?.status]).toEqual([400, 200])
    expect(second?.headers['idempotency-key']).toBe(first?.headers['idempotency-key'])
  })

  test('an answer that was lost is asked for again beyond the grace, with a current nonce', async () => {
    await using world = await createBoundWorld(browser, { DPOP_NONCE: 'required', REFRESH_GRACE_SECONDS: '0' })
    const page = await world.open()
    await signIn(world, page)
    const before = world.line.to('/refresh').length
    let lost = false
    const restore = world.line.disturb('/refresh', async (forward, response) => {
      // The first that is done; what asks for a nonce arrives.
      if (!lost) lost = (await forward()).status === 200
      response.destroy()
    })
    await page.evaluate('void auth.refresh().catch(() => {})')
    await eventually(() => lost).toBe(true)
    await page.close()
    restore()
    const later = await world.open()
    expect(await user(later)).toBe(world.email)
    const keys = world.line.to('/refresh').slice(before)
    expect(new Set(keys.map(({ headers }) => headers['idempotency-key'])).size).toBe(1)
  })

  test.for([10, -10])('a clock that is %i minutes off', async (minutes) => {
    await using world = await createBoundWorld(browser)
    await world.context.addInitScript((milliseconds) => {
      const now = Date.now.bind(Date)
      Date.now = () => now() + milliseconds
    }, minutes * 60_000)
    const page = await world.open()
    await signIn(world, page)
    expect(await me(world, page)).toBe(200)
    await reload(page)
    expect(await user(page)).toBe(world.email)
    expect(await me(world, page)).toBe(200)
    // One proof of each start is refused.
    expect(statuses(world, '/refresh').filter((status) => status === 400)).toHaveLength(2)
    expect([...statuses(world, '/login'), ...statuses(world, '/me')]).toEqual([200, 200, 200])
  })
})
