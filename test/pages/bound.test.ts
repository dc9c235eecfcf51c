import { describe, expect, test } from 'vitest'
import { keyHolder } from '../sessions/key-holder.ts'
import { createTestApp, refreshTokenOf } from '../support/app.ts'
import { addPublicClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { openBrowser, textOf } from './support.ts'

// `dpop_jkt` in the address of the sign-in page binds the session to a key of the application's (RFC 9449 §10).

const SITE = 'https://app.example.com'
const t = forFile(await createTestApp({ env: { ALLOWED_ORIGINS: SITE } }))
const owner = keyHolder(t)
const { email, password } = await t.signUp()
const { clientId } = await addPublicClient(t, { origins: ['https://bank.example'], dpopRequired: true })

const at = (path: string, query: Record<string, string>): string => `${path}?${new URLSearchParams(query).toString()}`
const SIGN_IN = at('/account/sign-in', { return_to: SITE, dpop_jkt: owner.key.jkt })

async function boundBrowser() {
  const browser = openBrowser(t)
  expect((await browser.send(SIGN_IN, { email, password })).statusCode).toBe(200)
  return browser
}

test('the session is bound: its cookie is good for tokens only with the key', async () => {
  const { cookie = '' } = await boundBrowser()
  const stolen = await t.refresh(cookie, { via: 'cookie' })
  expect([stolen.statusCode, stolen.json().code]).toEqual([400, 'invalid_dpop_proof'])
  const own = await t.refresh(cookie, { via: 'cookie', headers: owner.proof('/refresh') })
  expect([own.statusCode, own.json().token_type]).toEqual([200, 'DPoP'])
})

test('the key lasts from page to page, through a form that was refused and a registration', async () => {
  const browser = openBrowser(t)
  const { body } = await browser.get(SIGN_IN)
  for (const path of ['/account/sign-in', '/account/register'])
    expect(body).toMatch(new RegExp(`"${path}\\?[^"]*dpop_jkt=${owner.key.jkt}"`))
  const refused = await browser.send(SIGN_IN, { email, password: 'not the right phrase' })
  expect([refused.statusCode, refused.body]).toEqual([401, expect.stringContaining(`dpop_jkt=${owner.key.jkt}`)])
  const fields = { email: 'somebody-new@example.com', password }
  await browser.send(at('/account/register', { dpop_jkt: owner.key.jkt }), fields)
  const rows = t.db
    .selectFrom('families as f')
    .innerJoin('users as u', 'u.id', 'f.user_id')
    .where('u.email', '=', fields.email)
  expect(await rows.select('f.dpop_jkt').execute()).toEqual([{ dpop_jkt: owner.key.jkt }])
})

test('pages work with a bound session as with any other, and use nothing up', async () => {
  const browser = await boundBrowser()
  expect(textOf(await browser.get('/account'))).toContain(email)
  const next = await t.refresh(browser.cookie ?? '', { via: 'cookie', headers: owner.proof('/refresh') })
  // A page may be asked for with the token of before, while the answer is on its way.
  expect(textOf(await browser.get('/account'))).toContain(email)
  browser.cookie = refreshTokenOf(next)
  expect(textOf(await browser.get('/account'))).toContain(email)
  const out = await browser.send('/account/sign-out', {})
  expect(out.statusCode).toBe(200)
  expect((await browser.get('/account')).statusCode).toBe(303)
})

test('a session that is there keeps its key, whatever the address names', async () => {
  const browser = await boundBrowser()
  const other = keyHolder(t)
  await browser.get(at('/account/sign-in', { dpop_jkt: other.key.jkt }))
  const answer = await t.refresh(browser.cookie ?? '', { via: 'cookie', headers: other.proof('/refresh') })
  expect(answer.json().code).toBe('invalid_dpop_proof')
})

test('whose key the site has lost signs in again, and the session of the lost key ends', async () => {
  const browser = await boundBrowser()
  const lost = browser.cookie ?? ''
  expect((await browser.get(SIGN_IN)).body).not.toContain('type="password"')
  // The account page leads back to a site that does not say which key it has.
  expect((await browser.get('/account/sign-in')).body).not.toContain('type="password"')
  const made = keyHolder(t)
  const path = at('/account/sign-in', { return_to: SITE, dpop_jkt: made.key.jkt })
  expect((await browser.get(path)).body).toContain('type="password"')
  expect((await browser.send(path, { email, password })).statusCode).toBe(200)
  const answer = await t.refresh(browser.cookie ?? '', { via: 'cookie', headers: made.proof('/refresh') })
  expect(answer.statusCode).toBe(200)
  expect((await t.refresh(lost, { via: 'cookie', headers: owner.proof('/refresh') })).statusCode).toBe(401)
})

describe('a client with bound sessions alone', () => {
  const pages = [
    ['/account/sign-in', { email, password }],
    ['/account/register', { email: 'not-made@example.com', password }],
  ] as const

  test.each(pages)('has no form at %s without a key, and takes none', async (path, fields) => {
    const browser = openBrowser(t)
    const shown = await browser.get(at(path, { client_id: clientId }))
    // Only the application has a key: what is signed in from here would be a session of another client, and not bound.
    expect(textOf(shown)).toContain('Go back to the application')
    expect(textOf(shown)).not.toContain('Go to the sign-in page')
    for (const answer of [shown, await browser.send(at(path, { client_id: clientId }), fields)]) {
      expect([answer.statusCode, answer.headers['content-type']]).toEqual([400, 'text/html; charset=utf-8'])
      expect(answer.headers['set-cookie']).toBeUndefined()
    }
    const made = t.db.selectFrom('users').select('id').where('email', '=', 'not-made@example.com')
    expect(await made.execute()).toEqual([])
  })

  test('signs in with one', async () => {
    const path = at('/account/sign-in', { client_id: clientId, dpop_jkt: owner.key.jkt })
    expect((await openBrowser(t).send(path, { email, password })).statusCode).toBe(303)
    const row = t.db.selectFrom('families').select('dpop_jkt').where('client_id', '=', clientId)
    expect(await row.execute()).toEqual([{ dpop_jkt: owner.key.jkt }])
  })
})

test.each(['', 'x', 'A'.repeat(42), 'A'.repeat(44), `${'A'.repeat(42)}=`, `${'A'.repeat(42)} `, `${'A'.repeat(42)}é`])(
  'a key named %j is refused on the page',
  async (jkt) => {
    for (const path of ['/account/sign-in', '/account/register', '/account']) {
      const answer = await openBrowser(t).get(at(path, { dpop_jkt: jkt }))
      expect([answer.statusCode, answer.headers['content-type']]).toEqual([400, 'text/html; charset=utf-8'])
    }
    const sent = await openBrowser(t).send(at('/account/sign-in', { dpop_jkt: jkt }), { email, password })
    expect([sent.statusCode, sent.headers['set-cookie']]).toEqual([400, undefined])
  },
)
