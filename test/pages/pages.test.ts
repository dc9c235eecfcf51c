import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { createTestApp, TEST_PASSWORD } from '../support/app.ts'
import { openBrowser, textOf } from './support.ts'

const t = await createTestApp({
  env: { ISSUER: 'https://auth.example.com', ALLOWED_ORIGINS: 'https://app.example.com' },
})
afterAll(() => t[Symbol.asyncDispose]())

const PAGES = [
  '/account/sign-in',
  '/account/register',
  ...['forgot', 'resend', 'reset', 'verify', 'invitation', 'email', 'undo'].map((name) => `/account/${name}`),
]
const SIGNED_IN = ['/account', '/account/password', '/account/change-email']
const EVERY = [...PAGES, ...SIGNED_IN]

async function signedIn() {
  const { email } = await t.signUp()
  const browser = openBrowser(t)
  await browser.send('/account/sign-in', { email, password: TEST_PASSWORD })
  return browser
}

const POLICY = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'referrer-policy': 'same-origin',
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'cross-origin-resource-policy': 'same-origin',
  'strict-transport-security': 'max-age=63072000; includeSubDomains',
  'content-type': 'text/html; charset=utf-8',
}

test.each(EVERY)('%s has the headers of pages, and none that lets another page read it', async (path) => {
  const browser = await signedIn()
  for (const query of ['', '?return_to=https://evil.example']) {
    const answer = await browser.get(path + query, { origin: 'https://app.example.com' })
    expect(answer.headers).toMatchObject(POLICY)
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
  }
  const asked = { origin: 'https://app.example.com', 'access-control-request-method': 'POST' }
  const preflight = await t.inject({ method: 'OPTIONS', url: path, headers: asked })
  expect(Object.keys(preflight.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
})

describe('languages', () => {
  test.each([
    ['', undefined, 'en', 'Sign in'],
    ['', 'de-AT,de;q=0.9,en;q=0.8', 'de', 'Anmelden'],
    ['', 'fr,ru;q=0.5', 'ru', 'Вход'],
    ['?ui_locales=ru', 'de', 'ru', 'Вход'],
    ['?ui_locales=fr%20de', undefined, 'de', 'Anmelden'],
    ['?ui_locales=xx', 'xx', 'en', 'Sign in'],
  ])('of %j and %j: %s', async (query, accepted, locale, title) => {
    const answer = await openBrowser(t).get(`/account/sign-in${query}`, accepted ? { 'accept-language': accepted } : {})
    expect(answer.body).toContain(`<html lang="${locale}">`)
    expect(answer.body).toContain(`<h1>${title}</h1>`)
  })
})

test('the theme is that of the system unless it is asked for', async () => {
  const themeOf = async (query: string) =>
    /data-theme="(\w+)"/.exec((await openBrowser(t).get(`/account/sign-in${query}`)).body)?.[1]
  expect(await themeOf('')).toBeUndefined()
  expect(await themeOf('?theme=dark')).toBe('dark')
  expect(await themeOf('?theme=light')).toBe('light')
  expect(await themeOf('?theme=%22onload%3D')).toBeUndefined()
})

describe('the operator’s brand', () => {
  test('is a name, colours and a logo, by settings', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'brand-'))
    const path = join(folder, 'logo.svg')
    const svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    await writeFile(path, svg)
    const env = { BRAND_NAME: 'Ada & <Sons>', BRAND_COLOR: '#b3261e', BRAND_LOGO: path }
    await using branded = await createTestApp({ join: t, env })
    const page = await openBrowser(branded).get('/account/sign-in')
    expect(page.body).toContain('<title>Sign in · Ada &amp; &lt;Sons&gt;</title>')
    expect(page.body).toContain('<img class="mark" src="/account/logo" alt=""')
    const style = await openBrowser(branded).get('/account/style.css')
    expect(style.headers['content-type']).toBe('text/css; charset=utf-8')
    expect(style.body).toMatch(/--accent:light-dark\(#b3261e,#[\da-f]{6}\);--ink:light-dark\(#ffffff,#/)
    const logo = await openBrowser(branded).get('/account/logo')
    expect([logo.headers['content-type'], logo.body]).toEqual(['image/svg+xml', svg])
    // Opened by itself it is a document of our origin, in which nothing may run.
    expect(logo.headers['content-security-policy']).toContain("default-src 'none'")
    await rm(folder, { recursive: true })
  })
})

test('with PAGES=off there are none', async () => {
  await using off = await createTestApp({ join: t, env: { PAGES: 'off' } })
  for (const path of [...EVERY, '/account/style.css', '/account/script.js', '/account/logo']) {
    expect((await openBrowser(off).get(path)).statusCode).toBe(404)
    expect((await openBrowser(off).send(path, {})).statusCode).toBe(404)
  }
})

const ATTACKS = [
  '"><script>alert(1)</script>',
  "' onfocus=alert(1) autofocus x='",
  '</title><img src=x onerror=alert(1)>',
  '<svg/onload=alert(1)>@example.com',
  '&#34;&gt;&lt;script&gt;',
  'javascript:alert(1)',
  'paragraph\u2028<b>',
]

describe('what is sent is text, wherever it comes back', () => {
  /** No element and no attribute in the page that is not in ours. */
  const bonesOf = (body: string) =>
    [...body.matchAll(/<[a-z!/][^>]*>/gi)].map(([tag]) => tag.replace(/="[^"]*"/g, '=""')).join('')

  test.each(ATTACKS)('%s', async (attack) => {
    const browser = await signedIn()
    const plain = bonesOf((await browser.get('/account/sign-in')).body)
    for (const name of ['ui_locales', 'theme', 'x', attack]) {
      const query = `${encodeURIComponent(name)}=${encodeURIComponent(attack)}`
      const { body } = await browser.get(`/account/sign-in?${query}`)
      expect(bonesOf(body)).toBe(plain)
    }
    const { body: refused } = await browser.get(`/account/sign-in?return_to=${encodeURIComponent(attack)}`)
    expect(refused).not.toContain(attack)
    const forms: [typeof browser, string, string[]][] = [
      [openBrowser(t), '/account/sign-in', ['email', 'password', 'remember']],
      [openBrowser(t), '/account/register', ['email', 'password']],
      [openBrowser(t), '/account/forgot', ['email']],
      [openBrowser(t), '/account/reset', ['email', 'code', 'password']],
      [openBrowser(t), '/account/verify', ['token', 'password']],
      [openBrowser(t), '/account/undo', ['token']],
      [browser, '/account/change-email', ['email', 'current_password']],
      [browser, '/account', ['id']],
      [browser, '/account/password', ['current_password', 'new_password']],
    ]
    for (const [sender, path, names] of forms) {
      const filled = (value: string) => Object.fromEntries(names.map((name) => [name, value]))
      const { body } = await sender.send(path, filled(attack))
      expect(bonesOf(body)).toBe(bonesOf((await sender.send(path, filled('not an address'))).body))
    }
  })

  test('a device that names itself in markup', async () => {
    const { email } = await t.signUp()
    await t.login({ email, password: TEST_PASSWORD }, { 'user-agent': '<script>alert(1)</script>' })
    const browser = openBrowser(t)
    await browser.send('/account/sign-in', { email, password: TEST_PASSWORD })
    expect((await browser.get('/account')).body).not.toContain('<script')
  })
})

test.each(EVERY)('%s is small: at most 15 KiB with what it needs', async (path) => {
  const browser = await signedIn()
  const page = await (PAGES.includes(path) ? openBrowser(t) : browser).get(path)
  const needed = new Set(
    [...page.body.matchAll(/(?:src|href)="(\/account\/[\w.-]+\.(?:css|js)|\/account\/logo)"/g)].map(
      ([, url = '']) => url,
    ),
  )
  expect(needed.size).toBeLessThanOrEqual(3)
  let bytes = gzipSync(page.body).length
  for (const url of needed) bytes += gzipSync((await browser.get(url)).rawPayload).length
  expect(bytes).toBeLessThan(15 * 1024)
})

test('an unknown page, and a wrong method, are what they are everywhere', async () => {
  expect((await openBrowser(t).get('/account/nothing')).statusCode).toBe(404)
  expect((await openBrowser(t).get('/account/sign-out')).headers.allow).toBe('POST')
  expect(textOf(await openBrowser(t).get('/account/sign-in?ui_locales=x&ui_locales=y'))).toContain('not complete')
})
