import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createClient } from '../../sdk/browser/src/index.ts'
import type { TestApp } from '../support/app.ts'
import { createDevice, type Device, signUp, startIssuer } from './browser-support.ts'

// Which requests of the browser package's `fetch` carry the access token. In Chromium, with Requests of other windows:
// test/browser/origins.test.ts.

const TRUSTED = 'https://orders.example:8443'
const FOREIGN = 'https://foreign.example'

/** What a page may write for a URL, odd white space and slashes included. */
const urls = (origin: string): fc.Arbitrary<string> => {
  const [scheme = '', host = ''] = origin.split('://')
  const slashes = fc.constantFrom('//', '\\\\', '/\\', '\\/', '///', '', '/')
  const space = fc.constantFrom('', ' ', '\t', '\n', '\r\n', '\f', ' \t ')
  const path = fc.constantFrom(
    '',
    '/',
    '/orders?of=1',
    '\\orders',
    '/a/../b',
    '#top',
    `/@${FOREIGN}`,
    `/?to=${TRUSTED}`,
  )
  const spelled = (name: string) =>
    fc.constantFrom(name, name.toUpperCase(), name.replace('.', '%2e'), `${name.slice(0, 3)}\t${name.slice(3)}`)
  return fc
    .tuple(space, spelled(scheme), space, slashes, spelled(host), path, space)
    .map(([before, name, between, marks, where, rest, after]) =>
      [before, name, ':', marks, between.replaceAll(/[ \f]/g, ''), where, rest, after].join(''),
    )
}

/** As of a subclass whose `url` says what it likes. */
const lyingRequest = (url: string) =>
  Object.defineProperty(new Request(url), 'url', { get: () => `${TRUSTED}/claimed` })

/** Says one thing when it is judged and another when it is sent, or the other way round. */
const fickle = (first: string, then: string) => {
  let asked = 0
  return { toString: () => (asked++ === 0 ? first : then) }
}

/** Every kind of thing that can be handed to `fetch`. */
const kinds: Record<string, (url: string, other: string) => unknown> = {
  text: (url) => url,
  'a URL': (url) => new URL(url),
  'a Request': (url) => new Request(url),
  'a Request with a body': (url) => new Request(url, { method: 'POST', body: 'x' }),
  'a Request that says something else': (url) => lyingRequest(url),
  'a Request in a Proxy': (url) => new Proxy(new Request(url), {}),
  'an object': (url) => ({ toString: () => url }),
  'an object that looks like a trusted Request': (url) => ({
    url: TRUSTED,
    clone: () => new Request(TRUSTED),
    toString: () => url,
  }),
  'an object that changes its mind': fickle,
  'a URL that changes': (url, other) => {
    const changing = new URL(url)
    setTimeout(() => (changing.href = other))
    return changing
  },
  'a list of one': (url) => [url],
}

describe('the access token', () => {
  let t: TestApp
  let device: Device
  let seen: { origin: string; authorized: boolean }[]

  beforeEach(async () => {
    const started = await startIssuer()
    t = started.t
    seen = []
    device = createDevice(started.issuer, { resources: [`${TRUSTED}/api/`] })
    await signUp(device)
    // Both services exist here only: what would have been sent is looked at as the platform reads it.
    device.network.interfere = async ({ url, headers }) => {
      seen.push({ origin: new URL(url).origin, authorized: headers.has('authorization') })
      return new Response('{}')
    }
  })
  afterEach(() => t[Symbol.asyncDispose]())

  test.each(Object.keys(kinds))(
    'goes where the request goes that is sent, and to trusted origins only: %s',
    async (kind) => {
      const { client } = device
      const make = kinds[kind] as (url: string, other: string) => string
      await fc.assert(
        fc.asyncProperty(
          fc.oneof(urls(TRUSTED), urls(FOREIGN)),
          urls(FOREIGN),
          fc.boolean(),
          async (url, other, swap) => {
            seen.length = 0
            const input = () => (swap ? make(other, url) : make(url, other))
            await Promise.resolve()
              .then(() => client.fetch(input()))
              .catch(() => {})
            for (const { origin, authorized } of seen) expect(authorized, origin).toBe(origin === TRUSTED)
          },
        ),
        { numRuns: 300 },
      )
    },
  )

  test('control: of the URLs above, most reach a service', async () => {
    for (const [origin, least] of [
      [TRUSTED, 100],
      [FOREIGN, 100],
    ] as const) {
      seen.length = 0
      for (const url of fc.sample(urls(origin), 200)) await device.client.fetch(url).catch(() => {})
      expect(seen.filter((each) => each.origin === origin).length).toBeGreaterThan(least)
    }
  })

  test('what `init` says of the request is kept, whichever kind of thing names the URL', async () => {
    const sent: string[] = []
    device.network.interfere = async ({ path, body }) => {
      sent.push(`${path} ${String(body.of)}`)
      return new Response('{}')
    }
    const init = { method: 'POST', body: '{"of":1}' }
    await device.client.fetch(`${TRUSTED}/text`, init)
    await device.client.fetch(new URL(`${TRUSTED}/url`), init)
    await device.client.fetch(new Request(`${TRUSTED}/request`, init))
    await device.client.fetch(new Request(`${TRUSTED}/both`, { method: 'POST', body: '{"of":2}' }), init)
    expect(sent).toEqual(['/text 1', '/url 1', '/request 1', '/both 1'])
  })
})

describe('resources', () => {
  const make = (issuer: string, resource: string) => () =>
    createClient({ issuer, resources: [resource], storage: { get: () => null, set: () => {}, remove: () => {} } })

  test.each([
    'http://orders.example',
    'http://orders.example:443/api',
    'HTTP://Orders.Example',
    'http://192.168.1.20:4000',
    'http://10.0.0.1',
    'http://localhost.example',
    'http://127.0.0.1.example',
    'http://[2001:db8::1]',
    'ws://orders.example',
    'ftp://orders.example',
  ])('%s is refused: the token would travel in clear text', (resource) => {
    expect(make('https://auth.example', resource)).toThrow(TypeError)
    expect(make('https://auth.example', resource)).toThrow(resource)
    expect(make('http://localhost:3000', resource)).toThrow('clear text')
  })

  test.each([
    'https://orders.example',
    'https://192.168.1.20:4000',
    'http://localhost:4000',
    'http://orders.localhost',
    'http://127.0.0.1:4000',
    'http://127.1',
    'http://[::1]:4000',
  ])('%s is taken', (resource) => {
    expect(make('https://auth.example', resource)).not.toThrow()
  })

  test('where the issuer itself is plain http in the LAN, as for a phone in development, services may be, too', () => {
    expect(make('http://192.168.1.20:3000', 'http://192.168.1.20:4000')).not.toThrow()
  })
})
