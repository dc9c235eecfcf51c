import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createWorld, launchChromium, patience, signIn, type World, withoutBrowser } from './support.ts'

// Where `fetch` sends the access token, in a browser: Requests of other windows, URLs relative to whatever is the base,
// redirects. Every kind of input that Node has, too, is in test/sdk/browser-origins.test.ts.

interface Service extends AsyncDisposable {
  url: string
  /** Paths of the requests that came, preflights left out, and whether they had an Authorization. */
  seen: [path: string, authorized: boolean][]
}

/** Takes requests of any page. `/to?` redirects to what follows. */
async function openService(): Promise<Service> {
  const server = createServer(({ method, url = '', headers }, response) => {
    response.setHeader('access-control-allow-origin', headers.origin ?? '*')
    response.setHeader('access-control-allow-headers', 'authorization')
    if (method !== 'OPTIONS') service.seen.push([url.split('?')[0] ?? '', headers.authorization !== undefined])
    const location = url.startsWith('/to?') ? url.slice('/to?'.length) : undefined
    response
      .writeHead(location && method !== 'OPTIONS' ? 302 : 200, location === undefined ? {} : { location })
      .end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const service: Service = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen: [],
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
  return service
}

/** A tab that is signed in, with a client that trusts one service, and a window of the same origin in a frame. */
async function openClient(world: World, resource: string): Promise<Page> {
  const page = await world.open()
  await signIn(world, page)
  await page.evaluate(`(async () => {
    window.client = createClient({ issuer: '${world.line.url}', resources: ['${resource}'] })
    await client.ready
    const frame = document.createElement('iframe')
    frame.src = '/blank'
    document.body.append(frame)
    await new Promise((resolve) => frame.addEventListener('load', resolve))
    window.frame = frame.contentWindow
  })()`)
  return page
}

/** What is given to `fetch`; `at` is the URL, `base` the place that relative ones start from. */
const inputs = {
  text: 'at',
  'a URL': 'new URL(at, document.baseURI)',
  'a Request': 'new Request(at)',
  'a URL of the frame': 'new frame.URL(at, frame.document.baseURI)',
  'a Request of the frame': 'new frame.Request(at)',
  'a POST of the frame': "new frame.Request(at, { method: 'POST', body: 'x' })",
  'a copy in the frame': 'new frame.Request(new Request(at))',
  'text of the frame': 'new frame.String(at)',
  'an object that changes its mind': '({ n: 0, toString() { return this.n++ ? other : at } })',
}

describe.skipIf(withoutBrowser)('the access token', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('reaches the trusted service alone, whatever is handed to fetch and whatever the base is', async () => {
    await using world = await createWorld(browser)
    await using orders = await openService()
    await using foreign = await openService()
    const page = await openClient(world, orders.url)
    const arrived = new Set<string>()
    const origins = fc.constantFrom(orders.url, foreign.url)
    const forms = fc.constantFrom(
      (url: string) => url,
      (url: string) => url.replace('http:', ''),
      (url: string) => url.replace('http:', '').replaceAll('/', '\\'),
      (url: string) => ` \t${url.replace('://', ':\n/\t/')} `,
      () => '/relative',
      () => '?relative',
    )
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...Object.keys(inputs)),
        forms,
        ...([origins, origins, origins, origins] as const),
        async (kind, form, at, other, base, frameBase) => {
          orders.seen.length = foreign.seen.length = 0
          await page.evaluate(
            `(async (at, other, bases) => {
              [document, frame.document].forEach((each, index) => {
                each.querySelector('base')?.remove()
                const base = each.createElement('base')
                base.href = bases[index]
                each.head.append(base)
              })
              await client.fetch(${inputs[kind as keyof typeof inputs]}).catch(() => {})
            })(...${JSON.stringify([form(at), form(other), [base, frameBase]])})`,
          )
          for (const [, authorized] of orders.seen) expect(authorized, 'the service').toBe(true)
          for (const [, authorized] of foreign.seen) expect(authorized, 'the foreign one').toBe(false)
          if (orders.seen.length) arrived.add(`${kind}, trusted`)
          if (foreign.seen.length) arrived.add(`${kind}, foreign`)
        },
      ),
      { numRuns: 400 },
    )
    // Otherwise the above says nothing.
    expect([...arrived].toSorted()).toEqual(
      Object.keys(inputs)
        .flatMap((kind) => [`${kind}, foreign`, `${kind}, trusted`])
        .toSorted(),
    )
  })

  test('stays behind when a trusted service redirects elsewhere', async () => {
    await using world = await createWorld(browser)
    await using orders = await openService()
    await using foreign = await openService()
    const page = await openClient(world, orders.url)
    await page.evaluate(`client.fetch('${orders.url}/to?${foreign.url}/elsewhere')`)
    await page.evaluate(`client.fetch('${orders.url}/to?${foreign.url}/to?${orders.url}/back')`)
    await page.evaluate(`client.fetch('${orders.url}/to?${orders.url}/moved')`)
    expect(foreign.seen).toEqual([
      ['/elsewhere', false],
      ['/to', false],
    ])
    expect(orders.seen).toEqual([
      ['/to', true],
      ['/to', true],
      ['/back', false],
      ['/to', true],
      ['/moved', true],
    ])
  })
})
