import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestApp } from '../support/app.ts'
import { launchChromium, patience, withoutBrowser } from './support.ts'

describe.skipIf(withoutBrowser)('the page of the description', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  // WCAG 2.2, 1.4.10: what is 1280 pixels wide at four times its size.
  test.each([320, 768, 1280])('needs no scrolling sideways at %d pixels', async (width) => {
    await using t = await createTestApp()
    const page = await browser.newPage({ viewport: { width, height: 800 } })
    await page.goto(`${await t.listen()}/docs`)
    expect(await page.title()).toContain('Claviger')
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
    await page.close()
  })
})
