import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClient } from '../../sdk/browser/src/index.ts'
import { useAuth } from '../../sdk/browser/src/react.ts'
import { app } from './react/app.ts'
import { createWorld, eventually, launchChromium, patience, type World, withoutBrowser } from './support.ts'

// The hook in React 19: development build, StrictMode, in a page that was rendered here or on a server.

let bundle: string

/** A page of the app, with what it has to say in `complaints`. */
async function open(world: World, markup = ''): Promise<{ page: Page; complaints: string[] }> {
  world.site.files.set('/react.js', bundle)
  world.site.html = `<!doctype html><title>app</title><link rel="icon" href="data:,"><div id="root">${markup}</div>
    <script>issuer = ${JSON.stringify(world.line.url)}</script><script type="module" src="/react.js"></script>`
  const page = await world.context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  await page.goto(`${world.site.origin}/bare`)
  await page.waitForFunction('window.auth')
  await page.evaluate('auth.ready.catch(() => {})')
  return { page, complaints }
}

const who = (page: Page) => page.textContent('#who')
const rendered = (page: Page) => page.evaluate<string[]>('rendered')

async function signIn(world: World, page: Page): Promise<void> {
  await page.fill('input[name=email]', world.email)
  await page.fill('input[name=password]', world.password)
  await page.click('text=Sign in')
  await eventually(() => who(page)).toBe(`signed-in ${world.email} login`)
}

describe.skipIf(withoutBrowser)('useAuth', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
    const built = await build({
      configFile: false,
      logLevel: 'error',
      root: import.meta.dirname,
      // Its development build: that is what warns, and where StrictMode runs effects twice.
      define: { 'process.env.NODE_ENV': '"development"' },
      build: {
        write: false,
        minify: false,
        target: 'es2022',
        lib: { entry: join(import.meta.dirname, 'react/page.ts'), formats: ['es'] },
      },
    })
    const [result] = Array.isArray(built) ? built : [built]
    if (!result || !('output' in result)) throw new Error('nothing was built')
    bundle = result.output[0].code
  })
  afterAll(() => browser?.close())

  test('sign in, reload, sign out', async () => {
    await using world = await createWorld(browser)
    const { page, complaints } = await open(world)
    await eventually(() => rendered(page)).toEqual(['loading', 'signed-out found'])
    expect(complaints.splice(0), 'the first visit, which asks').toEqual([expect.stringContaining('401')])
    await signIn(world, page)
    await page.reload()
    await eventually(() => who(page)).toBe(`signed-in ${world.email} found`)
    expect(await rendered(page)).toEqual(['loading', `signed-in ${world.email} found`])
    await page.click('text=Sign out')
    await eventually(() => who(page)).toBe('signed-out logout')
    await page.reload()
    await eventually(() => who(page)).toBe('signed-out found')
    expect(complaints).toEqual([])
  })

  test('a session that has reached its greatest age: expired, in every tab, by itself', async () => {
    await using world = await createWorld(browser, {
      ACCESS_TOKEN_SECONDS: '5',
      SESSION_IDLE_SECONDS: '6',
      SESSION_MAX_SECONDS: '6',
    })
    const { page } = await open(world)
    const other = await open(world)
    await signIn(world, page)
    await eventually(() => who(other.page)).toBe(`signed-in ${world.email} other-tab`)
    await eventually(() => who(page)).toBe('signed-out expired')
    await eventually(() => who(other.page)).toBe('signed-out expired')
    expect((await rendered(other.page)).slice(-3)).toEqual([
      'signed-out found',
      `signed-in ${world.email} other-tab`,
      'signed-out expired',
    ])
  })

  test('another tab signs out; new tokens render nothing anew', async () => {
    await using world = await createWorld(browser)
    const { page } = await open(world)
    await signIn(world, page)
    const before = (await rendered(page)).length
    await page.evaluate('auth.refresh()')
    await page.evaluate('auth.refresh()')
    expect(await rendered(page)).toHaveLength(before)
    const other = await open(world)
    await eventually(() => who(other.page)).toBe(`signed-in ${world.email} found`)
    await other.page.click('text=Sign out')
    await eventually(() => who(page)).toBe('signed-out other-tab')
  })

  test('mounted twice by StrictMode, and unmounted and mounted again: the client goes on', async () => {
    await using world = await createWorld(browser)
    const { page } = await open(world)
    await signIn(world, page)
    await page.evaluate('again()')
    await eventually(() => who(page)).toBe(`signed-in ${world.email} login`)
    expect(await page.evaluate('auth.getAccessToken()')).toMatch(/^ey/)
    await page.evaluate('auth.logout()')
    await eventually(() => who(page)).toBe('signed-out logout')
  })

  test('rendered on a server it is `loading` for everybody, and the browser takes the markup over without a complaint', async () => {
    await using world = await createWorld(browser)
    const markup = renderToString(app(createClient({ issuer: world.line.url })))
    expect(markup).toContain('>loading<')
    const { page } = await open(world)
    await signIn(world, page)
    await page.close()

    const taken = await open(world, markup)
    await eventually(() => who(taken.page)).toBe(`signed-in ${world.email} found`)
    expect(await rendered(taken.page)).toEqual(['loading', `signed-in ${world.email} found`])
    expect(await taken.page.evaluate('faults')).toEqual([])
    expect(taken.complaints).toEqual([])
  })

  test('control: markup of another state is complained of', async () => {
    await using world = await createWorld(browser)
    const markup = renderToString(app(createClient({ issuer: world.line.url }))).replace('>loading<', '>signed-out<')
    const { page } = await open(world, markup)
    await eventually(() => page.evaluate('faults')).toEqual([expect.stringContaining('Hydration failed')])
  })
})

test('without a provider it says so', () => {
  const Lost = () => createElement('p', null, useAuth().state)
  expect(() => renderToString(createElement(Lost))).toThrow('there is no ClavigerProvider above this component')
})
