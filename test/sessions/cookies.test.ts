import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import type { LightMyRequestResponse } from 'fastify'
import { describe, expect, test } from 'vitest'
import { forFile } from '../support/for-file.ts'
import {
  COOKIE,
  eventsOf,
  expectRefused,
  family,
  granted,
  isLive,
  logout,
  ownOrigin,
  PAGE,
  post,
  refresh,
  register,
  signIn,
  startApp,
  stopClock,
} from './support.ts'

const t = forFile(await startApp())
const user = await register(t)
const travel = stopClock(t)
const origin = ownOrigin(t)
const DAY = 24 * 3600
/** A sign-in sets it too, and nothing else does. */
const DEVICE = /^__Host-device=dt1_[\w-]{72}; Max-Age=31536000; Path=\/; HttpOnly; Secure; SameSite=Strict$/

const fromPage = (url: string, cookie: string) => t.inject({ method: 'POST', url, headers: { origin, cookie } })

/** The token is in the cookie and in no other place that a script, a log or a cache could see. */
function expectOnlyInCookie(answer: LightMyRequestResponse, token: string): void {
  const { 'set-cookie': cookie, ...others } = answer.headers
  expect(String(cookie)).toContain(token)
  expect(answer.body).not.toContain('rt1_')
  expect(answer.json()).not.toHaveProperty('refresh_token')
  expect(JSON.stringify(others)).not.toContain('rt1_')
}

describe('the cookie', () => {
  test('without remember it has exactly these attributes, at sign-in and at every refresh', async () => {
    const { token, answer } = await signIn(t, user, 'cookie')
    expect(answer.headers['set-cookie']).toEqual([
      `${COOKIE}=${token}; Path=/; HttpOnly; Secure; SameSite=Strict`,
      expect.stringMatching(DEVICE),
    ])
    expectOnlyInCookie(answer, token)
    const next = await refresh(t, 'cookie', token)
    expect(next.headers['set-cookie']).toBe(`${COOKIE}=${granted(next)}; Path=/; HttpOnly; Secure; SameSite=Strict`)
    expectOnlyInCookie(next, granted(next))
    const again = await refresh(t, 'cookie', token)
    expect(again.headers['set-cookie']).toBe(next.headers['set-cookie'])
    expect(String(next.headers['set-cookie']).length).toBeLessThan(4096)
  })

  test('with remember its Max-Age is what is left of the session', async () => {
    const { token, answer } = await signIn(t, user, 'cookie', { remember: true })
    const expected = (value: string, seconds: number) =>
      `${COOKIE}=${value}; Max-Age=${seconds}; Path=/; HttpOnly; Secure; SameSite=Strict`
    expect(answer.headers['set-cookie']).toEqual([expected(token, 14 * DAY), expect.stringMatching(DEVICE)])
    travel(13 * DAY)
    const second = await refresh(t, 'cookie', token)
    expect(second.headers['set-cookie']).toBe(expected(granted(second), 14 * DAY))
    travel(5)
    const retried = await refresh(t, 'cookie', token)
    expect(retried.headers['set-cookie']).toBe(expected(granted(second), 14 * DAY - 5))
    travel(9 * DAY - 5)
    // The absolute end is nearer than the idle one now.
    const third = await refresh(t, 'cookie', granted(second))
    expect(third.headers['set-cookie']).toBe(expected(granted(third), 8 * DAY))
    expect(third.json().refresh_expires_in).toBe(8 * DAY)
  })

  test('a native client gets the token in the body and never a cookie', async () => {
    const { token, answer, sid } = await signIn(t, user, 'body', { remember: false })
    expect([answer.json().refresh_token, answer.headers['set-cookie']]).toEqual([token, undefined])
    const next = await refresh(t, 'body', token)
    expect(granted(next)).toBe(next.json().refresh_token)
    expect(next.headers['set-cookie']).toBeUndefined()
    expect((await logout(t, 'body', granted(next))).headers['set-cookie']).toBeUndefined()
    expect(await family(t, sid)).toMatchObject({ delivery: 'body' })
  })

  test('is deleted by logout with the attributes it was set with', async () => {
    const { token } = await signIn(t, user, 'cookie', { remember: true })
    const answer = await logout(t, 'cookie', token)
    expect([answer.statusCode, answer.body]).toEqual([204, ''])
    expect(answer.headers['set-cookie']).toBe(`${COOKIE}=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Strict`)
  })

  test('needs no body for refresh and logout', async () => {
    const { token } = await signIn(t, user, 'cookie')
    const rotated = await fromPage('/refresh', `${COOKIE}=${token}`)
    expect(rotated.statusCode).toBe(200)
    const typed = await t.inject({
      method: 'POST',
      url: '/refresh',
      headers: { origin, cookie: `${COOKIE}=${granted(rotated)}`, 'content-type': 'application/json' },
    })
    expect(typed.statusCode).toBe(200)
    expect((await fromPage('/logout', `${COOKIE}=${granted(typed)}`)).statusCode).toBe(204)
  })
})

describe('no refused refresh deletes the cookie', () => {
  const session = async () => await signIn(t, user, 'cookie')
  test.each<[string, number, () => Promise<LightMyRequestResponse>]>([
    [
      'an ended session',
      401,
      async () => {
        const { token } = await session()
        await logout(t, 'cookie', token)
        return await refresh(t, 'cookie', token)
      },
    ],
    [
      'a replay',
      401,
      async () => {
        const { token } = await session()
        granted(await refresh(t, 'cookie', granted(await refresh(t, 'cookie', token))))
        return await refresh(t, 'cookie', token)
      },
    ],
    [
      'an expired session',
      401,
      async () => {
        const { token } = await session()
        travel(DAY)
        return await refresh(t, 'cookie', token)
      },
    ],
    ['rubbish', 401, () => refresh(t, 'cookie', 'x')],
    [
      'a wrong client',
      401,
      async () =>
        post(t, '/refresh', { cookie: (await session()).token, headers: { origin }, body: { client_id: 'native' } }),
    ],
    [
      'too much scope',
      400,
      async () =>
        post(t, '/refresh', { cookie: (await session()).token, headers: { origin }, body: { scope: 'admin' } }),
    ],
    [
      'an unknown member',
      400,
      async () => post(t, '/refresh', { cookie: (await session()).token, headers: { origin }, body: { admin: true } }),
    ],
    [
      'a foreign page',
      403,
      async () => post(t, '/refresh', { cookie: (await session()).token, headers: { origin: 'https://evil.example' } }),
    ],
    [
      'a wrong media type',
      415,
      async () =>
        t.inject({
          method: 'POST',
          url: '/refresh',
          headers: { origin, cookie: `${COOKIE}=${(await session()).token}`, 'content-type': 'text/plain' },
          payload: '{}',
        }),
    ],
  ])('for %s', async (_name, status, send) => {
    const answer = await send()
    expect(answer.statusCode).toBe(status)
    expect(answer.headers['set-cookie']).toBeUndefined()
    expect(answer.headers['clear-site-data']).toBeUndefined()
  })
})

describe('two refresh tokens in one request', () => {
  test.each(['/refresh', '/logout'])('are 400 at %s, and nothing happens to either', async (url) => {
    const [browser, other, native] = [
      await signIn(t, user, 'cookie'),
      await signIn(t, user, 'cookie'),
      await signIn(t, user, 'body'),
    ]
    const answers = [
      await fromPage(url, `${COOKIE}=${browser.token}; ${COOKIE}=${other.token}`),
      await fromPage(url, `${COOKIE}=${browser.token}; ${COOKIE}=${browser.token}`),
      await fromPage(url, `${COOKIE}=; ${COOKIE}=${browser.token}`),
      await fromPage(url, `${COOKIE}=${browser.token}; x=1; ${COOKIE}=junk`),
      await post(t, url, { cookie: browser.token, body: { refresh_token: native.token }, headers: { origin } }),
      await post(t, url, { cookie: browser.token, body: { refresh_token: native.token } }),
      await post(t, url, { cookie: browser.token, body: { refresh_token: browser.token }, headers: { origin } }),
      await post(t, url, { cookie: browser.token, body: { refresh_token: '' }, headers: { origin } }),
      await post(t, url, { cookie: '', body: { refresh_token: native.token }, headers: { origin } }),
    ]
    for (const answer of answers) {
      expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_request'])
      expect(answer.headers['set-cookie']).toBeUndefined()
    }
    for (const { sid, delivery, token } of [browser, other, native]) {
      expect(await family(t, sid)).toMatchObject({ generation: 0, ended_at: null })
      granted(await refresh(t, delivery, token))
    }
  })

  test('a member named twice is 400', async () => {
    const { token, sid } = await signIn(t, user)
    const answer = await t.inject({
      method: 'POST',
      url: '/refresh',
      headers: { 'content-type': 'application/json' },
      payload: `{"refresh_token":"x","refresh_token":"${token}"}`,
    })
    expect(answer.statusCode).toBe(400)
    expect((await family(t, sid)).generation).toBe(0)
  })
})

describe('a cookie that is not quite the refresh cookie', () => {
  test.each<[string, (token: string) => string]>([
    ['behind U+00A0', (token) => `\u00a0${COOKIE}=${token}`],
    ['behind U+0085', (token) => `x=1; \u0085${COOKIE}=${token}`],
    ['behind U+2000 in UTF-8', (token) => `\u00e2\u0080\u0080${COOKIE}=${token}`],
    ['behind U+FEFF in UTF-8', (token) => `\u00ef\u00bb\u00bf${COOKIE}=${token}`],
    ['before U+00A0', (token) => `${COOKIE}\u00a0=${token}`],
    ['in $Version syntax', (token) => `$Version=1; $Path=/; $${COOKIE}=${token}`],
    ['behind $Version and a comma', (token) => `$Version=1,${COOKIE}=${token}`],
    ['in a quoted sandwich', (token) => `x="1; ${COOKIE}2=${token}; y=1"`],
    ['nameless', (token) => `=${COOKIE}=${token}`],
    ['in upper case', (token) => `${COOKIE.toUpperCase()}=${token}`],
    ['in lower case', (token) => `${COOKIE.toLowerCase()}=${token}`],
    ['without its prefix', (token) => `refresh_token=${token}`],
    ['with another prefix', (token) => `__Secure-refresh_token=${token}`],
    ['percent-encoded', (token) => `__Host%2Drefresh_token=${token}`],
    ['within another value', (token) => `x=${COOKIE}=${token}`],
    ['with its value in quotes', (token) => `${COOKIE}="${token}"`],
    ['with a percent-encoded value', (token) => `${COOKIE}=%72${token.slice(1)}`],
  ])('%s refreshes nothing and ends nothing', async (_name, header) => {
    const { token, sid } = await signIn(t, user, 'cookie')
    expectRefused(await fromPage('/refresh', header(token)))
    expect((await fromPage('/logout', header(token))).statusCode).toBe(204)
    expect(await family(t, sid)).toMatchObject({ generation: 0, ended_at: null })
    // Next to the real one it does not count either.
    expect((await fromPage('/refresh', `${header('junk')}; ${COOKIE}=${token}`)).statusCode).toBe(
      header('junk').startsWith(`${COOKIE}=`) ? 400 : 200,
    )
  })

  test('spaces and tabs around it are only spaces and tabs', async () => {
    const { token } = await signIn(t, user, 'cookie')
    expect((await fromPage('/refresh', `a=b;\t ${COOKIE}\t = \t${token} ; c=d`)).statusCode).toBe(200)
  })
})

describe('signing in again', () => {
  test('ends the family of the cookie that came along, current or not, as replaced_by_login', async () => {
    for (const generations of [0, 1, 3]) {
      const { token, sid } = await signIn(t, user, 'cookie')
      let current = token
      for (let i = 0; i < generations; i++) current = granted(await refresh(t, 'cookie', current))
      const next = await signIn(
        t,
        user,
        'cookie',
        {},
        { cookie: `${COOKIE}=${generations === 3 ? token : current}`, origin: PAGE },
      )
      expect(await family(t, sid)).toMatchObject({ end_cause: 'replaced_by_login' })
      expect(await eventsOf(t, sid)).toEqual(['session.ended replaced_by_login'])
      expectRefused(await refresh(t, 'cookie', current))
      granted(await refresh(t, 'cookie', next.token))
    }
  })

  test('ends the family of the cookie of another user of the same browser', async () => {
    const someone = await register(t)
    const theirs = await signIn(t, someone, 'cookie')
    const own = await signIn(t, user, 'cookie', {}, { cookie: `${COOKIE}=${theirs.token}` })
    expect(await isLive(t, theirs.sid)).toBe(false)
    expect(await isLive(t, own.sid)).toBe(true)
  })

  test('with a wrong password it ends nothing', async () => {
    const { token, sid } = await signIn(t, user, 'cookie')
    const { email } = user
    const answer = await t.login(
      { email, password: 'not this one', client_id: 'web' },
      { cookie: `${COOKIE}=${token}`, origin },
    )
    expect(answer.statusCode).toBe(401)
    expect(answer.headers['set-cookie']).toBeUndefined()
    expect(await isLive(t, sid)).toBe(true)
  })

  test('takes neither user, nor scope, nor lifetime from the cookie that came along', async () => {
    const someone = await register(t)
    const { token, sid } = await signIn(t, someone, 'cookie', { remember: true, scope: 'account' })
    const fresh = await signIn(t, user, 'cookie', {}, { cookie: `${COOKIE}=${token}`, origin })
    expect(fresh.sid).not.toBe(sid)
    expect(fresh.token).not.toBe(token)
    expect(await family(t, fresh.sid)).toMatchObject({ user_id: user.id, remember: false, generation: 0 })
    expect(fresh.answer.json().user.email).toBe(user.email)
  })

  test('a forged cookie, or one of a native family, ends nothing', async () => {
    const native = await signIn(t, user, 'body')
    for (const cookie of [native.token, 'rt1_x', `rt1_${'A'.repeat(92)}`]) {
      await signIn(t, user, 'cookie', {}, { cookie: `${COOKIE}=${cookie}`, origin })
    }
    expect(await isLive(t, native.sid)).toBe(true)
  })
})

test('needs no body, and its absence may be framed in any way', async () => {
  const base = new URL(await t.listen())
  const ask = async (path: string, token: string, headers: string[], body = '') => {
    const socket = connect(Number(base.port), base.hostname)
    const cookie = `Cookie: ${COOKIE}=${token}`
    const lines = [`POST ${path} HTTP/1.1`, `Host: ${base.host}`, `Origin: ${origin}`, cookie, 'Connection: close']
    socket.write([...lines, ...headers, '', body].join('\r\n'))
    return await text(socket)
  }
  let { token } = await signIn(t, user, 'cookie')
  for (const [headers, body] of [
    [['Transfer-Encoding: chunked'], '0\r\n\r\n'],
    [['Transfer-Encoding: chunked', 'Content-Type: text/plain'], '0\r\n\r\n'],
    [['Content-Length: 0', 'Content-Type: nonsense']],
    [[]],
  ] as const) {
    const answer = await ask('/refresh', token, [...headers], body)
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    token = new RegExp(`${COOKIE}=([^;]+)`).exec(answer)?.[1] ?? ''
  }
  expect(await ask('/logout', token, ['Transfer-Encoding: chunked'], '0\r\n\r\n')).toMatch(/^HTTP\/1\.1 204 /)
  expectRefused(await refresh(t, 'cookie', token))
})
