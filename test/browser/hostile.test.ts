import { setTimeout as sleep } from 'node:timers/promises'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deliver } from './line.ts'
import { openSite } from './pages.ts'
import {
  api,
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

// What goes wrong and who means harm: lost answers, foreign pages, a thief with a copy of the refresh token.

/** A thief's program, with the headers that a browser would send. */
async function replay(world: World, token: string): Promise<{ status: number; cookie: string | undefined }> {
  const answer = await fetch(`${world.line.url}/refresh`, {
    method: 'POST',
    headers: { cookie: `__Host-refresh_token=${token}`, origin: world.site.origin },
  })
  const cookie = /__Host-refresh_token=([^;]+)/.exec(answer.headers.get('set-cookie') ?? '')?.[1]
  return { status: answer.status, cookie }
}

/** A refresh whose answer is lost, and the next start after the grace. @returns who is signed in then. */
async function retryLate(world: World): Promise<unknown> {
  const page = await world.open()
  await signIn(world, page)
  const end = world.line.disturb('/refresh', async (forward, response) => {
    await forward()
    response.destroy()
  })
  await page.close()
  const second = await world.context.newPage()
  await second.goto(world.site.origin)
  await eventually(() => world.line.to('/refresh').at(-1)?.status).toBe(200)
  await second.close()
  end()
  await sleep(1500)
  const third = await world.open()
  return await user(third)
}

describe.skipIf(withoutBrowser)('trouble', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  describe('a refresh whose answer is lost, retried only after the grace', () => {
    test('is a retry: still signed in', async () => {
      await using world = await createWorld(browser, { REFRESH_GRACE_SECONDS: '1' })
      expect(await retryLate(world)).toBe(world.email)
    })

    test('control: without its Idempotency-Key it is taken for theft, and the session ends', async () => {
      await using world = await createWorld(browser, { REFRESH_GRACE_SECONDS: '1' })
      world.line.strip('idempotency-key')
      expect(await retryLate(world)).toBeNull()
    })

    test('also if the browser kept the cookie of the answer and the page saw nothing of it', async () => {
      await using world = await createWorld(browser, { REFRESH_GRACE_SECONDS: '1' })
      const page = await world.open()
      await signIn(world, page)
      await page.close()
      const cookies = [(await refreshCookie(world.context))?.value]
      for (let round = 0; round < 2; round++) {
        const end = world.line.disturb('/refresh', async (forward, response) => {
          const answer = await forward()
          // All headers, and half of the body.
          response.writeHead(answer.status, answer.headers).write(answer.body.subarray(0, 20))
          setTimeout(() => response.destroy(), 20)
        })
        const next = await world.context.newPage()
        await next.goto(world.site.origin)
        await eventually(async () => (await refreshCookie(world.context))?.value).not.toBe(cookies.at(-1))
        cookies.push((await refreshCookie(world.context))?.value)
        await next.close()
        end()
        await sleep(1500)
      }
      expect(await user(await world.open())).toBe(world.email)
    })
  })

  describe('pages of other origins', () => {
    /** Everything that a page can do to another site without being asked. */
    const attacks = (issuer: string, path: string) => `<!doctype html><title>harm</title>
      <iframe name="sink"></iframe>
      <form id="form" method="post" target="sink" action="${issuer}${path}"></form>
      <form id="text" method="post" target="sink" enctype="text/plain" action="${issuer}${path}"><input name='{"a":"' value='"}'></form>
      <img src="${issuer}${path}"><iframe src="${issuer}${path}"></iframe>
      <script>
        const swallow = (promise) => promise.then((r) => r.text()).then((text) => 'read: ' + text, () => 'refused')
        window.done = (async () => {
          document.getElementById('form').submit()
          await new Promise((resolve) => setTimeout(resolve, 300))
          document.getElementById('text').submit()
          const url = '${issuer}${path}'
          return Promise.all([
            swallow(fetch(url, { method: 'POST', credentials: 'include' })),
            swallow(fetch(url, { method: 'POST', credentials: 'include', mode: 'no-cors' })),
            swallow(fetch(url, { method: 'POST', credentials: 'include', headers: { 'content-type': 'application/json' }, body: '{}' })),
            navigator.sendBeacon(url),
          ])
        })()
      </script>`

    test.each([
      ['same site, where the cookie goes along', 'localhost', true],
      ['another site, where it does not', '127.0.0.1', false],
    ])('%s: nothing happens', async (_name, host, withCookie) => {
      await using world = await createWorld(browser)
      await using evil = await openSite()
      const page = await world.open()
      await signIn(world, page)
      const before = await refreshCookie(world.context)
      for (const path of ['/logout', '/refresh']) {
        const from = world.line.passed.length
        evil.html = attacks(world.line.url, path)
        const harm = await world.context.newPage()
        await harm.goto(`${evil.origin.replace('localhost', host)}/bare`)
        const read = await harm.evaluate<string[]>('done')
        expect(read.slice(0, 3).filter((each) => each !== 'refused' && each !== 'read: ')).toEqual([])
        await sleep(300)
        await harm.close()
        const posts = world.line.passed.slice(from).filter((each) => each.method === 'POST' && each.path === path)
        expect(posts.length, 'they must have arrived').toBeGreaterThanOrEqual(4)
        expect(posts.some(({ headers }) => headers.cookie?.includes('__Host-refresh_token'))).toBe(withCookie)
        expect(posts.filter(({ status }) => status !== 403 && status !== 415)).toEqual([])
        const gets = world.line.passed.slice(from).filter((each) => each.method === 'GET')
        expect(gets.length).toBeGreaterThanOrEqual(2)
        expect(gets.filter(({ status }) => status !== 405 && status !== 404)).toEqual([])
      }
      expect(await refreshCookie(world.context)).toEqual(before)
      await page.reload()
      await page.waitForFunction('window.loaded')
      expect(await page.evaluate('auth.ready.then((found) => found && found.email)')).toBe(world.email)
    })

    test('the app’s own package, served from an origin that is not allowed, gets nothing', async () => {
      await using world = await createWorld(browser)
      await using evil = await openSite(world.line.url)
      const page = await world.open()
      await signIn(world, page)
      const harm = await world.context.newPage()
      await harm.goto(evil.origin)
      await harm.waitForFunction('window.loaded')
      expect(await harm.evaluate('auth.ready.then(String, (error) => error.code)')).toBe('network')
      // To its page that looks like no network; so it goes on trying, but ever more slowly.
      const tried = world.line.to('/refresh').length
      await sleep(4000)
      expect(world.line.to('/refresh').length - tried).toBeLessThanOrEqual(8)
      expect(await api(page)).toBe(200)
    })
  })

  describe('a thief with a copy of the refresh token', () => {
    test('who comes after the owner: the session ends, and the app is told in every tab', async () => {
      await using world = await createWorld(browser, { REFRESH_GRACE_SECONDS: '1', ACCESS_TOKEN_SECONDS: '5' })
      const [one, two] = [await world.open(), await world.open()]
      await signIn(world, one)
      await eventually(() => user(two)).toBe(world.email)
      const stolen = (await refreshCookie(world.context))?.value ?? ''
      await eventually(async () => (await refreshCookie(world.context))?.value).not.toBe(stolen)
      await sleep(1200)
      expect(await replay(world, stolen)).toEqual({ status: 401, cookie: undefined })
      await eventually(() => Promise.all([user(one), user(two)])).toEqual([null, null])
      expect(await users(one)).toEqual([world.email, null])
      expect(await users(two)).toEqual([world.email, null])
      expect(await one.evaluate('auth.getAccessToken().catch((error) => error.code)')).toBe('invalid_grant')
    })

    test('who comes first: the owner’s next refresh ends what the thief got', async () => {
      await using world = await createWorld(browser, { REFRESH_GRACE_SECONDS: '1', ACCESS_TOKEN_SECONDS: '5' })
      const page = await world.open()
      await signIn(world, page)
      const loot = await replay(world, (await refreshCookie(world.context))?.value ?? '')
      expect(loot).toMatchObject({ status: 200, cookie: expect.stringMatching(/^rt1_/) })
      await eventually(() => user(page)).toBeNull()
      expect(await replay(world, loot.cookie ?? '')).toMatchObject({ status: 401 })
    })
  })

  test('an issuer that is down at the start: the app learns who it is once it is back', async () => {
    await using world = await createWorld(browser)
    const first = await world.open()
    await signIn(world, first)
    await first.close()
    const end = world.line.disturb('/refresh', async (forward, response) => {
      void forward
      deliver(response, {
        status: 503,
        headers: {
          'retry-after': '7',
          'access-control-allow-origin': world.site.origin,
          'access-control-allow-credentials': 'true',
          'access-control-expose-headers': 'retry-after',
        },
        body: Buffer.from('{"code":"unavailable","title":"Not now"}'),
      })
    })
    const page = await world.open()
    expect(await page.evaluate('auth.ready.catch((error) => [error.code, error.retryAfter])')).toEqual([
      'unavailable',
      7,
    ])
    expect(await user(page)).toBeNull()
    end()
    const asked = world.line.to('/refresh').length
    await sleep(3000)
    expect(world.line.to('/refresh').length, 'what the issuer asked for is kept').toBe(asked)
    await eventually(() => user(page)).toBe(world.email)
    expect(await users(page)).toEqual([world.email])
  })
})
