import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { AxeResults } from 'axe-core'
import type { Browser, Page } from 'playwright-core'
import { expect } from 'vitest'
import { heading } from './hosted.ts'

const AXE = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8')
/** With the one rule of WCAG 2.2 AA that is not on by itself. Findings that a rule is not sure of count too. */
const JUDGE = "axe.run({ resultTypes: ['violations', 'incomplete'], rules: { 'target-size': { enabled: true } } })"

interface Size {
  width: number
  height: number
  deviceScaleFactor: number
}

const SIZES: Size[] = [
  { width: 1280, height: 800, deviceScaleFactor: 1 },
  { width: 390, height: 844, deviceScaleFactor: 1 },
]
/** At 200 % everything is twice as large, and the window has room for half as much. */
const ZOOMED: Size[] = SIZES.map(({ width, height }) => ({
  width: width / 2,
  height: height / 2,
  deviceScaleFactor: 2,
}))

/** What reaches out of the window or of its own box. Text in fields scrolls. */
const STICKING_OUT = `[...document.body.querySelectorAll('*')].filter((each) => {
  const { left, right, width } = each.getBoundingClientRect()
  if (width === 0 || each.closest('svg') || each.matches('input')) return false
  const isCut = each.clientWidth > 0 && each.scrollWidth > each.clientWidth
  return isCut || left < 0 || right > document.documentElement.clientWidth + 0.5
}).map((each) => each.outerHTML.slice(0, 100))`

export interface Visitor extends AsyncDisposable {
  page: Page
  /** What was wrong with the pages that the visitor has looked at. */
  faults: string[]
  /** Looks for what does not fit, in both widths, as it is and at 200 %. */
  measure(name: string): Promise<void>
  /** The same, and has axe-core judge the page in both themes. @param title what the page must say above everything else. */
  look(name: string, title: string): Promise<void>
}

/** Somebody who goes from page to page, and notes what is wrong with them. */
export async function openVisitor(browser: Browser): Promise<Visitor> {
  const context = await browser.newContext({ reducedMotion: 'reduce' })
  const page = await context.newPage()
  const screen = await context.newCDPSession(page)
  const faults: string[] = []
  let asked = 0
  page.on('request', (request) => {
    // The icon is for the tab, whenever the browser likes.
    if (request.url().endsWith('/account/logo')) return
    asked = request.isNavigationRequest() ? 1 : asked + 1
    if (asked > 3) faults.push(`${request.url()} is one request too many`)
  })
  page.on('pageerror', (error) => faults.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) faults.push(message.text())
  })

  async function fit(name: string, size: Size): Promise<void> {
    await screen.send('Emulation.setDeviceMetricsOverride', { ...size, mobile: false })
    expect(await page.evaluate('innerWidth')).toBe(size.width)
    const out = await page.evaluate<string[]>(STICKING_OUT)
    faults.push(...out.map((each) => `${name}, ${size.width} px: ${each} sticks out`))
    if ((await page.evaluate<number>('document.documentElement.scrollWidth')) > size.width)
      faults.push(`${name}, ${size.width} px: it scrolls sideways`)
  }

  async function judge(name: string, colorScheme: 'light' | 'dark'): Promise<void> {
    await page.emulateMedia({ colorScheme })
    const { violations, incomplete } = await page.evaluate<AxeResults>(JUDGE)
    for (const { id, nodes } of [...violations, ...incomplete])
      faults.push(...nodes.map(({ html }) => `${name}, ${colorScheme}: ${id}: ${html}`))
  }

  return {
    page,
    faults,
    measure: async (name) => {
      for (const size of [...ZOOMED, ...SIZES]) await fit(name, size)
    },
    look: async (name, title) => {
      const found = await heading(page)
      if (found !== title) faults.push(`${name}: its heading is ${found}`)
      await page.evaluate(AXE)
      for (const size of ZOOMED) await fit(name, size)
      for (const size of SIZES) {
        await fit(name, size)
        for (const theme of ['light', 'dark'] as const) await judge(`${name}, ${size.width} px`, theme)
      }
    },
    [Symbol.asyncDispose]: () => context.close(),
  }
}
