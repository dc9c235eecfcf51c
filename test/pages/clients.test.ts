import { describe, expect, test } from 'vitest'
import { createTestApp } from '../support/app.ts'
import { addPublicClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { openBrowser, textOf } from './support.ts'

// A page may be about the session of another client of browsers than `web`: its cookie, its lifetimes, its places to return to.

const SHOP = 'https://shop.example'
const t = forFile(await createTestApp({ env: { ALLOWED_ORIGINS: 'https://app.example.com' } }))
const { clientId } = await addPublicClient(t, { origins: [SHOP], rememberIdleSeconds: 600 })
const { clientId: native } = await addPublicClient(t, { type: 'native' })
const { email, password } = await t.signUp()
const NAME = `__Host-refresh_token.${clientId}`
const at = (path: string, query: Record<string, string> = {}): string =>
  `${path}?${new URLSearchParams({ client_id: clientId, ...query }).toString()}`

describe('a page that names a client', () => {
  test('signs in with its cookie and lifetimes, leads back to its pages, and signs out of it alone', async () => {
    const browser = openBrowser(t)
    await browser.send('/account/sign-in', { email, password })
    const path = at('/account/sign-in', { return_to: SHOP })
    const answer = await browser.send(path, { email, password, remember: 'on' })
    expect(answer.body).toContain(`href="${SHOP}/#signed-in"`)
    const cookie = answer.cookies.find(({ name }) => name.startsWith('__Host-refresh_token'))
    expect(cookie).toMatchObject({ name: NAME, maxAge: 600 })
    const sessions = t.db.selectFrom('families').select(['client_id', 'end_cause']).where('ended_at', 'is', null)
    expect((await sessions.orderBy('created_at').execute()).map((row) => row.client_id)).toEqual([
      'native',
      'web',
      clientId,
    ])
    expect(textOf(await browser.get(at('/account')))).toContain(email)

    const out = await browser.send(at('/account/sign-out'), {})
    expect(out.headers['set-cookie']).toMatch(`${NAME}=; Max-Age=0;`)
    expect((await browser.get(at('/account'))).statusCode).toBe(303)
    expect(textOf(await browser.get('/account'))).toContain(email)
  })

  test('keeps the name from page to page', async () => {
    const { body } = await openBrowser(t).get(at('/account/sign-in'))
    expect(body).toContain(`action="/account/sign-in?client_id=${clientId}"`)
    expect(body).toContain(`href="/account/register?client_id=${clientId}"`)
    const led = await openBrowser(t).get(at('/account'))
    expect(led.headers.location).toBe(`/account/sign-in?client_id=${clientId}`)
  })

  test('leads to pages of that client alone', async () => {
    const browser = openBrowser(t)
    expect((await browser.get(at('/account/sign-in', { return_to: 'https://app.example.com' }))).statusCode).toBe(400)
    expect((await browser.get(`/account/sign-in?return_to=${SHOP}`)).statusCode).toBe(400)
    expect((await browser.get(at('/account/sign-in', { return_to: SHOP }))).statusCode).toBe(200)
  })

  test('takes no token of another client, even under the name of its cookie', async () => {
    const browser = openBrowser(t)
    await browser.send('/account/sign-in', { email, password })
    const planted = await browser.get(at('/account'), { cookie: `${NAME}=${browser.cookie}` })
    expect(planted.statusCode).toBe(303)
  })
})

test.each([['native'], [native], ['nobody'], [`cl_${'a'.repeat(22)}`]])('no page is about %s', async (id) => {
  const path = `/account/sign-in?client_id=${id}`
  for (const answer of [await openBrowser(t).get(path), await openBrowser(t).send(path, { email, password })]) {
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([400, 'text/html; charset=utf-8'])
    expect(answer.headers['set-cookie']).toBeUndefined()
  }
})
