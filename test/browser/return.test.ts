import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deliver } from './line.ts'
import {
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

// Somebody comes back to `…#signed-in`, from a page that is not this app's: of the issuer, or of another app.

/** On such a page. @returns nothing: the app is not told. */
const signInThere = async (world: World, email = world.email): Promise<void> => {
  const there = await world.context.newPage()
  await there.goto(`${world.site.origin}/blank`)
  await there.evaluate(
    ([url, body]) =>
      fetch(url as string, {
        method: 'POST',
        credentials: 'include',
        headers: { 'content-type': 'application/json' },
        body: body as string,
      }),
    [`${world.line.url}/login`, JSON.stringify({ email, password: world.password })],
  )
  await there.close()
}

async function load(page: Page, url: string): Promise<Page> {
  await page.goto(url)
  await page.waitForFunction('window.loaded')
  await page.evaluate('auth.ready.catch(() => {})')
  return page
}

/** As a link on the app's page does. @param url what makes its address, of the package and `auth`. */
async function follow(page: Page, url: string): Promise<void> {
  await page.evaluate(`import('/sdk.js').then(({ signInUrl, accountUrl }) => {
    document.body.append(Object.assign(document.createElement('a'), { href: ${url}, textContent: 'There' }))
  })`)
  await page.getByText('There', { exact: true }).click()
  await page.locator('main').waitFor()
}

const comeBack = async (world: World, path = '/#signed-in'): Promise<Page> =>
  load(await world.context.newPage(), world.site.origin + path)

describe.skipIf(withoutBrowser)('back from a sign-in elsewhere', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('it is a sign-in, here and in the other tabs, and leaves nothing in the address', async () => {
    await using world = await createWorld(browser)
    const open = await world.open()
    await signInThere(world)
    const page = await comeBack(world, '/?order=7&of=%23signed-in#signed-in')
    expect(await page.evaluate('changes')).toEqual([['signed-in', world.email, 'login']])
    expect(page.url()).toBe(`${world.site.origin}/?order=7&of=%23signed-in`)
    expect(await page.evaluate('history.length')).toBe(2)
    await eventually(() => open.evaluate('changes')).toEqual([
      ['signed-out', null, 'found'],
      ['signed-in', world.email, 'other-tab'],
    ])
    await load(page, page.url())
    expect(await page.evaluate('changes')).toEqual([['signed-in', world.email, 'found']])
  })

  test('from the issuer’s own page, to which the app leads; who is signed in there is asked nothing', async () => {
    await using world = await createWorld(browser)
    const open = await world.open()
    const page = await world.open()
    await follow(page, 'signInUrl(auth)')
    await page.fill('[name=email]', world.email)
    await page.fill('[name=password]', world.password)
    await page.click('form [type=submit]')
    await page.waitForURL(`${world.site.origin}/`)
    await page.waitForFunction('window.loaded')
    await page.evaluate('auth.ready')
    expect(await page.evaluate('changes')).toEqual([['signed-in', world.email, 'login']])
    await eventually(() => open.evaluate('changes.at(-1)')).toEqual(['signed-in', world.email, 'other-tab'])

    await follow(page, "signInUrl(auth, { returnTo: '/orders/7' })")
    await page.click('main a.primary')
    await page.waitForURL(`${world.site.origin}/`)
    await page.waitForFunction('window.loaded')
    expect(await page.evaluate('auth.ready.then(({ email }) => email)')).toBe(world.email)
  })

  test('a site that is none of the app’s is not returned to, and nobody signs in on the way there', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    await follow(page, "signInUrl(auth, { returnTo: 'https://evil.example/#signed-in' })")
    expect(await page.locator('main').innerText()).toContain('is not registered with this service')
    expect(await page.locator('input').count()).toBe(0)
    expect(await page.content()).not.toContain('evil.example')
  })

  test('who signs out on the issuer’s own page is signed out here with the next token', async () => {
    await using world = await createWorld(browser)
    const [page, account] = [await world.open(), await world.open()]
    await signIn(world, page)
    await page.evaluate('auth.refresh()')
    await follow(account, 'accountUrl(auth)')
    await account.click('form[action^="/account/sign-out"] [type=submit]')
    await account.getByText('You are signed out').waitFor()
    expect(await page.evaluate('auth.refresh()')).toBeNull()
    expect(await page.evaluate('changes.at(-1)')).toEqual(['signed-out', null, 'ended'])
  })

  test('whoever was signed in before is not shown again, though other tabs have a token of theirs', async () => {
    await using world = await createWorld(browser)
    const [before, now] = [world.email, `now-${world.email}`]
    const other = await world.open()
    await signIn(world, other)
    await other.evaluate(
      `auth.register(${JSON.stringify({ email: now, password: world.password })}).then(({ email }) => email)`,
    )
    await signInThere(world, now)
    const page = await comeBack(world)
    expect(await users(page)).toEqual([now])
    await eventually(() => users(other)).toEqual([before, now])
  })

  test('what the router keeps with the address stays', async () => {
    await using world = await createWorld(browser)
    await signInThere(world)
    const page = await world.context.newPage()
    await page.addInitScript("history.replaceState({ scroll: 40 }, '')")
    await load(page, `${world.site.origin}/#signed-in`)
    expect(page.url()).toBe(`${world.site.origin}/`)
    expect(await page.evaluate('history.state')).toEqual({ scroll: 40 })
  })

  test('a page that has moved on meanwhile stays where it is', async () => {
    await using world = await createWorld(browser)
    await signInThere(world)
    const page = await world.context.newPage()
    world.line.disturb('/refresh', async (forward, response) => {
      await page.evaluate("history.pushState(null, '', '/orders#latest')")
      deliver(response, await forward())
    })
    await load(page, `${world.site.origin}/#signed-in`)
    expect(await user(page)).toBe(world.email)
    expect(page.url()).toBe(`${world.site.origin}/orders#latest`)
  })

  test('without an answer it stays in the address, so that the next load asks again', async () => {
    await using world = await createWorld(browser)
    await world.open()
    await signInThere(world)
    const mend = world.line.disturb('/refresh', async (_forward, response) => void response.destroy())
    const page = await comeBack(world)
    expect(await page.evaluate('auth.state')).toBe('unreachable')
    await page.goto('about:blank')
    mend()
    await load(page, `${world.site.origin}/#signed-in`)
    expect(await page.evaluate('changes')).toEqual([['signed-in', world.email, 'login']])
    expect(page.url()).toBe(`${world.site.origin}/`)
  })

  test('what ends that session later is told as what it is', async () => {
    await using world = await createWorld(browser)
    await signInThere(world)
    const page = await comeBack(world)
    await page.evaluate(`auth.fetch('${world.line.url}/sessions?including_current=true', { method: 'DELETE' })`)
    expect(await page.evaluate('auth.refresh()')).toBeNull()
    expect(await page.evaluate('changes')).toEqual([
      ['signed-in', world.email, 'login'],
      ['signed-out', null, 'ended'],
    ])
  })

  test('if the cookie has not come along, that is said, and nobody is signed in', async () => {
    await using world = await createWorld(browser)
    await signInThere(world)
    await world.context.clearCookies()
    const page = await comeBack(world)
    expect(await page.evaluate('auth.ready.catch(({ code, status }) => [code, status])')).toEqual([
      'cookie_blocked',
      401,
    ])
    expect(await page.evaluate('changes')).toEqual([['signed-out', null, 'found']])
    expect(page.url()).toBe(`${world.site.origin}/`)
  })

  test('a sign-out that the issuer has not heard of comes first: the link does not take it back', async () => {
    await using world = await createWorld(browser)
    const page = await world.open()
    await signIn(world, page)
    const mend = world.line.disturb('/logout', async (_forward, response) => void response.destroy())
    expect(await page.evaluate('auth.logout().catch(({ code }) => code)')).toBe('network')
    await page.close()
    mend()
    expect(await user(await comeBack(world))).toBeNull()
    expect(await refreshCookie(world.context)).toBeUndefined()
  })
})
