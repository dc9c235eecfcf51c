import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openRecipeApp, type RecipeApp, signIn } from './recipe-app.ts'
import { eventually, launchChromium, patience, withoutBrowser } from './support.ts'

// docs/recipes/react.md, with the orders service of fastify.md, in Chromium.

describe.skipIf(withoutBrowser)('the recipe react', patience, () => {
  let app: RecipeApp
  let browser: Browser

  beforeAll(async () => {
    app = await openRecipeApp(['react'], 'fastify')
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

  test('signs in, stays signed in, and out in every tab', async () => {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(app.address)
    await page.check('input[name=remember]')
    await signIn(page, { ...app.issuer.accounts.clerk, password: 'not this one' })
    await says(page).toContain('The e-mail address or the password is wrong.')
    expect(await page.inputValue('input[name=email]')).toBe(app.issuer.accounts.clerk.email)
    expect(await page.isChecked('input[name=remember]')).toBe(true)
    expect(await page.inputValue('input[name=password]')).toBe('')
    await signIn(page, app.issuer.accounts.clerk)
    await says(page).toMatch(/^user-.*Orders of [0-9a-f-]{36}/s)
    await page.click('text=Place an order')
    await says(page).toContain('POST: 201')
    await page.click('text=Delete all')
    await says(page).toContain('DELETE: 204')

    await page.reload()
    await says(page).toContain(app.issuer.accounts.clerk.email)
    const other = await context.newPage()
    await other.goto(app.address)
    await says(other).toContain(app.issuer.accounts.clerk.email)
    await other.click('text=Sign out')
    await says(page).toContain('Stay signed in')
    await context.close()
  })

  test('without the role there is no button; while the server is down, the page waits for it', async () => {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(app.address)
    await signIn(page, app.issuer.accounts.visitor)
    await says(page).toContain('Orders of')
    expect(await page.locator('text=Delete all').count()).toBe(0)

    await app.issuer.stop()
    await page.click('text=Place an order')
    await says(page).toContain('POST: 201')
    await page.reload()
    await says(page).toBe('No connection. Trying again …')
    await app.issuer.start()
    await says(page).toContain('Orders of')
    await context.close()
  })
})
