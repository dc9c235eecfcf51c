import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestApp } from '../support/app.ts'
import { launchChromium, patience, withoutBrowser } from './support.ts'

/** Text that differs too little from what is behind it (WCAG 2.2, 1.4.3), as the page is at the moment. */
const PALE = `(() => {
  const parse = (color) => { const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number); return [r, g, b, a] }
  const over = ([r, g, b, a], under) => [r, g, b].map((value, at) => value * a + under[at] * (1 - a))
  const linear = (value) => value <= 10 ? value / 3294 : ((value / 255 + 0.055) / 1.055) ** 2.4
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
  const pale = new Set()
  for (const element of document.querySelectorAll('#api *')) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())
    if (!hasText || !element.checkVisibility()) continue
    const around = []
    for (let each = element; each; each = each.parentElement) around.unshift(parse(getComputedStyle(each).backgroundColor))
    const ground = around.reduce((under, color) => over(color, under), matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255])
    const text = over(parse(getComputedStyle(element).color), ground)
    const [more, less] = [light(text), light(ground)].sort((a, b) => b - a)
    if ((more + 0.05) / (less + 0.05) < 4.5) pale.add(element.tagName + '.' + element.className)
  }
  return [...pale]
})()`

describe.skipIf(withoutBrowser)('the page of the description', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  /** @returns the page with all operations in sight, and what the browser had to say about it. */
  async function open(base: string, options: Parameters<Browser['newPage']>[0]) {
    const page = await browser.newPage(options)
    const said: string[] = []
    const hosts = new Set<string>()
    page.on('console', (message) => said.push(message.text()))
    page.on('pageerror', (error) => said.push(error.message))
    page.on('request', (request) => hosts.add(new URL(request.url()).host))
    await page.goto(`${base}/docs`)
    await page.waitForSelector('.opblock')
    return { page, said, hosts: () => [...hosts] }
  }
  const widthOf = (page: Page) => page.evaluate('document.documentElement.scrollWidth')

  test('has no word of complaint, and asks no other host', async () => {
    await using t = await createTestApp()
    const base = await t.listen()
    const { page, said, hosts } = await open(base, {})
    expect(await page.title()).toContain('Claviger')
    expect(await page.locator('.opblock').count()).toBeGreaterThan(15)
    await page
      .getByRole('button', { name: /post \/login/i })
      .first()
      .click()
    await page.getByText('The tokens of a new session').waitFor()
    expect(await page.getByRole('button', { name: /try it out|authorize$/i }).count()).toBe(0)
    expect(said).toEqual([])
    expect(hosts()).toEqual([new URL(base).host])
    await page.close()
  })

  test('a script in it would find neither the issuer’s cookies nor the issuer', async () => {
    await using t = await createTestApp()
    const { page } = await open(await t.listen(), {})
    const attempt = (script: string) =>
      page.evaluate(`(async () => { try { return await (${script}) } catch (error) { return error.name } })()`)
    expect(await attempt('window.origin')).toBe('null')
    expect(await attempt('document.cookie')).toBe('SecurityError')
    expect(await attempt('localStorage.length')).toBe('SecurityError')
    expect(await attempt("fetch('/refresh', { method: 'POST', credentials: 'include' })")).toBe('TypeError')
    expect(t.logs.filter(({ path }) => path === '/refresh')).toEqual([])
    await page.close()
  })

  test.each(['light', 'dark'] as const)('is legible where the system is %s', async (colorScheme) => {
    await using t = await createTestApp()
    const { page } = await open(await t.listen(), { colorScheme })
    await page
      .getByRole('button', { name: /post \/login/i })
      .first()
      .click()
    await page.getByText('The tokens of a new session').waitFor()
    const background = await page.evaluate('getComputedStyle(document.documentElement).backgroundColor')
    expect(background === 'rgba(0, 0, 0, 0)' ? 'light' : 'dark').toBe(colorScheme)
    expect(await page.evaluate(PALE)).toEqual([])
    await page.close()
  })

  // WCAG 2.2, 1.4.10: what is 1280 pixels wide at four times its size.
  test.each([320, 768, 1280])('needs no mouse, and no scrolling sideways, at %d pixels', async (width) => {
    await using t = await createTestApp()
    const { page } = await open(await t.listen(), { viewport: { width, height: 800 } })
    expect(await widthOf(page)).toBe(width)
    const reached = () => page.evaluate('document.activeElement.textContent')
    for (let presses = 0; presses < 30 && !/^POST\W*login/.test(String(await reached())); presses++)
      await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.getByText('The tokens of a new session').waitFor()
    expect(await widthOf(page)).toBe(width)
    await page.close()
  })
})
