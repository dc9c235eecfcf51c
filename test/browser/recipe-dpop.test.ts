import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openRecipeApp, type RecipeApp, signIn } from './recipe-app.ts'
import { eventually, launchChromium, patience, withoutBrowser } from './support.ts'

// docs/recipes/dpop-spa.md upon react.md, with the service of dpop-node.md, in Chromium.

describe.skipIf(withoutBrowser)('the recipe dpop-spa', patience, () => {
  let app: RecipeApp
  let browser: Browser

  beforeAll(async () => {
    app = await openRecipeApp(['react', 'dpop-spa'], 'dpop-node')
    browser = await launchChromium()
  }, 120_000)

  afterAll(async () => {
    await browser?.close()
    await app?.[Symbol.asyncDispose]()
  })

  const says = (page: Page) => eventually(() => page.locator('#root').innerText())

  test('type-checks', async () => {
    expect(await app.typeCheck()).toBe('')
  })

  test('a session is bound to the browser, and what somebody copies of it is worth nothing', async () => {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(app.address)
    await says(page).toContain('Stay signed in')
    const asked = page.waitForRequest((request) => request.url().endsWith('/orders') && request.method() === 'GET')
    await signIn(page, app.issuer.accounts.clerk)
    await says(page).toContain('This session is bound to this browser.')
    await says(page).toContain('Orders of')
    await page.click('text=Pay')
    await says(page).toContain('Payment: 201')

    const { authorization = '', dpop = '' } = await (await asked).allHeaders()
    expect([authorization.split(' ')[0], dpop.split('.').length]).toEqual(['DPoP', 3])
    const token = authorization.slice('DPoP '.length)
    const copies: Record<string, string>[] = [
      { authorization: `Bearer ${token}` },
      { authorization },
      { authorization, dpop },
    ]
    for (const headers of copies) {
      expect((await fetch(`${app.service.url}/orders`, { headers })).status).toBe(401)
    }

    await page.reload()
    await says(page).toContain('This session is bound to this browser.')
    const other = await context.newPage()
    await other.goto(app.address)
    await other.click('text=Pay')
    await says(other).toContain('Payment: 201')
    await other.click('text=Sign out')
    await says(page).toContain('Stay signed in')
    await context.close()
  })

  test('where the browser keeps no key, nobody is signed in, and the page says why', async () => {
    const context = await browser.newContext()
    await context.addInitScript('Object.defineProperty(globalThis, "indexedDB", { value: undefined })')
    const page = await context.newPage()
    await page.goto(app.address)
    await says(page).toBe('This browser keeps no keys for this page. Is this a private window?')
    await context.close()
  })
})
