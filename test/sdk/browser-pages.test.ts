import { afterAll, describe, expect, test } from 'vitest'
import { accountUrl, createClient, forgotUrl, registerUrl, signInUrl } from '../../sdk/browser/src/index.ts'
import { openBrowser, textOf } from '../pages/support.ts'
import { createTestApp } from '../support/app.ts'
import { addPublicClient } from '../support/clients.ts'

// Addresses of the issuer's own pages, and what those make of them. The way back is walked in test/browser/return.test.ts.

const issuer = 'https://auth.example.com'
const app = 'https://app.example.com'
const t = await createTestApp({ env: { ISSUER: issuer, ALLOWED_ORIGINS: app } })
afterAll(() => t[Symbol.asyncDispose]())

/** Follows a link. */
async function open(url: string) {
  expect(url.startsWith(`${issuer}/account`), url).toBe(true)
  const { statusCode, headers, body } = await openBrowser(t).get(url.slice(issuer.length))
  return { status: statusCode, to: headers.location, body, text: textOf({ body }) }
}

/** Whoever is not signed in has to do that first, and is led there. */
const arrive = async (url: string) => {
  const first = await open(url)
  return first.to === undefined ? first : await open(issuer + first.to)
}

describe.each([
  ['/account/sign-in', signInUrl, 'Sign in'],
  ['/account/register', registerUrl, 'Create an account'],
  ['/account/forgot', forgotUrl, 'Forgot your password?'],
  ['/account', accountUrl, 'Sign in'],
] as const)('%s', (path, url, title) => {
  test('is named without anything that nobody asked for', async () => {
    expect(url({ issuer })).toBe(issuer + path)
    const { status, body } = await arrive(url({ issuer }))
    expect(status).toBe(200)
    expect(body).toContain(`<h1>${title}</h1>`)
  })

  test('is told the site to return to, the languages and the theme', async () => {
    const address = url({ issuer }, { returnTo: app, uiLocales: 'fr de', theme: 'dark' })
    expect(Object.fromEntries(new URL(address).searchParams)).toEqual({
      return_to: app,
      ui_locales: 'fr de',
      theme: 'dark',
    })
    const { body } = await arrive(address)
    expect(body).toMatch(/<html lang="de" data-theme="dark"/)
    expect(body).toContain(`return_to=${encodeURIComponent(app)}`)
  })
})

test('a client that operators registered is named, and led back to pages of its own', async () => {
  const shop = 'https://shop.example.com'
  const { clientId } = await addPublicClient(t, { origins: [shop] })
  const { status, body } = await open(signInUrl({ issuer }, { clientId, returnTo: shop }))
  expect(status).toBe(200)
  expect(body).toContain(`client_id=${clientId}`)
  expect((await open(signInUrl({ issuer }, { returnTo: shop }))).status).toBe(400)
})

test('the issuer is that of a client, whatever stands behind its origin', () => {
  expect(signInUrl(createClient({ issuer: `${issuer}/` }))).toBe(`${issuer}/account/sign-in`)
})

describe('the site to return to', () => {
  const siteOf = (returnTo: string) => new URL(signInUrl({ issuer }, { returnTo })).searchParams.get('return_to')

  test('is the origin of any URL of it, as browsers write origins', () => {
    expect(siteOf(`${app}/orders?of=ada#latest`)).toBe(app)
    expect(siteOf('https://APP.example.com:443')).toBe(app)
    expect(siteOf('http://localhost:5173/')).toBe('http://localhost:5173')
  })

  // What an app may hand over without a thought: `new URLSearchParams(location.search).get('next')`.
  test.each([
    ['https://evil.example/orders', 'https://evil.example'],
    ['https://app.example.com@evil.example', 'https://evil.example'],
    ['https://app.example.com.evil.example', 'https://app.example.com.evil.example'],
    ['blob:https://evil.example/7', 'https://evil.example'],
  ])('is refused by the server if it is not one of the app’s: %s', async (returnTo, site) => {
    expect(siteOf(returnTo)).toBe(site)
    const { status, text, body } = await open(signInUrl({ issuer }, { returnTo }))
    expect(status).toBe(400)
    expect(text).toContain('is not registered with this service')
    expect(body).not.toContain('evil')
  })

  test.each(['javascript:alert(1)', 'data:text/html,<script>alert(1)</script>', 'null', ''])(
    'is none where there is nowhere to return to: %j',
    async (returnTo) => {
      expect(siteOf(returnTo)).toBeNull()
      expect((await open(signInUrl({ issuer }, { returnTo }))).status).toBe(200)
    },
  )

  test('cannot bring further parameters along', () => {
    const address = signInUrl({ issuer }, { returnTo: `${app}?theme=dark&return_to=https://evil.example` })
    expect([...new URL(address).searchParams]).toEqual([['return_to', app]])
    const locales = signInUrl({ issuer }, { uiLocales: 'de&return_to=https://evil.example#' })
    expect([...new URL(locales).searchParams]).toEqual([['ui_locales', 'de&return_to=https://evil.example#']])
  })
})
