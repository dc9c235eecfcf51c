import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fill, type Hosted, NEXT, newAddress, openHosted, PASSWORD, signIn } from './hosted.ts'
import { openSite, type Site } from './pages.ts'
import { patience, refreshCookie, withoutBrowser } from './support.ts'

// What a site of somebody else's can do to a visitor who has, or could have, an account here.

const INJECTED = '<img src=x onerror=alert(1)>'
/** Also what an operator calls the service is text. */
const BRAND = `Ada & <b>Sons</b> ${INJECTED}`

describe.skipIf(withoutBrowser)('pages of ours and a hostile site', patience, () => {
  let hosted: Hosted
  let site: Site
  beforeAll(async () => {
    site = await openSite()
    hosted = await openHosted({ ALLOWED_ORIGINS: site.origin, BRAND_NAME: BRAND, EMAIL_VERIFICATION: 'off' })
  })
  afterAll(async () => {
    await hosted?.[Symbol.asyncDispose]()
    await site?.[Symbol.asyncDispose]()
  })

  /** Where the cookie goes along, which an app of the same client could be, and where it does not. */
  const hostile = () => [site.origin, site.origin.replace('localhost', '127.0.0.1')]

  test('no site can frame a page, whatever it shows', async () => {
    const context = await hosted.browser.newContext()
    const page = await context.newPage()
    await signIn(hosted, page, await hosted.member(), PASSWORD)
    const refusals: string[] = []
    page.on('console', (message) => refusals.push(message.text()))
    const paths = ['/account', '/account/sign-in', '/account/undo', '/account/nothing']
    for (const origin of hostile()) {
      refusals.length = 0
      const frames = [...paths.map(hosted.at), `${site.origin}/blank`]
      site.html = frames.map((url) => `<iframe src="${url}"></iframe>`).join('')
      await page.goto(`${origin}/bare`)
      const shown = page
        .frames()
        .slice(1)
        .map((frame) => frame.url())
      expect(shown).toEqual([...paths.map(() => 'chrome-error://chromewebdata/'), `${site.origin}/blank`])
      const named = refusals.filter((text) => text.includes("frame-ancestors 'none'"))
      expect(named).toHaveLength(paths.length)
    }
    await context.close()
  })

  /** Has a page elsewhere send a form, as a visitor would who presses a button there. @returns the status of the answer. */
  async function forge(page: Page, from: string, path: string, fields: Record<string, string>): Promise<number> {
    const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`)
    site.html = `<form method="post" action="${hosted.at(path)}">${inputs.join('')}</form>`
    await page.goto(from)
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.request().method() === 'POST'),
      page.waitForEvent('load'),
      page.evaluate('document.forms[0].submit()'),
    ])
    return answer.status()
  }

  test('no site can sign a visitor in to an account of its own, or make one', async () => {
    const email = await hosted.member()
    const context = await hosted.browser.newContext()
    const page = await context.newPage()
    for (const origin of hostile()) {
      expect(await forge(page, `${origin}/bare`, '/account/sign-in', { email, password: PASSWORD })).toBe(403)
      const fresh = { email: newAddress(), password: PASSWORD }
      expect(await forge(page, `${origin}/bare`, '/account/register', fresh)).toBe(403)
      expect(await context.cookies(hosted.at('/'))).toEqual([])
    }
    // Control: the page itself can, with the same fields.
    await signIn(hosted, page, email, PASSWORD)
    expect(await refreshCookie(context)).toBeDefined()
    await context.close()
  })

  test('no site can do anything with the session of a visitor', async () => {
    const email = await hosted.member()
    const context = await hosted.browser.newContext()
    const page = await context.newPage()
    await signIn(hosted, page, email, PASSWORD)
    await hosted.signInElsewhere(email, 'curl/8.1')
    const before = await refreshCookie(context)
    for (const origin of hostile()) {
      for (const [path, fields] of [
        ['/account/sign-out', {}],
        ['/account', { others: 'yes' }],
        ['/account/password', { current_password: PASSWORD, new_password: NEXT }],
        ['/account/change-email', { email: newAddress(), current_password: PASSWORD }],
      ] as const)
        expect([path, await forge(page, `${origin}/bare`, path, fields)]).toEqual([path, 403])
      await page.goto(`${origin}/bare`)
      const reading = page.evaluate(
        `fetch('${hosted.at('/account')}', { credentials: 'include' }).then((r) => r.text())`,
      )
      await expect(reading).rejects.toThrow('Failed to fetch')
    }
    expect(await refreshCookie(context)).toEqual(before)
    await page.goto(hosted.at('/account'))
    expect(await page.locator('main').innerText()).toContain('curl 8.1')
    await context.close()
  })

  /** A browser that would run whatever got into a page: the policy, which would stop it, is switched off. */
  async function gullible(): Promise<{ context: BrowserContext; page: Page; said: string[] }> {
    const context = await hosted.browser.newContext({ bypassCSP: true, userAgent: `Evil/1.0 ${INJECTED}` })
    const page = await context.newPage()
    const said: string[] = []
    page.on('dialog', async (dialog) => {
      said.push(dialog.message())
      await dialog.dismiss()
    })
    return { context, page, said }
  }

  /** Elements and attributes that are in no page of ours. */
  const FOREIGN = `[...document.querySelectorAll('*')].filter((each) =>
    each.matches('img, b, iframe, base, script:not([src="/account/script.js"]), [href^="javascript"]') ||
    [...each.attributes].some(({ name }) => name.startsWith('on'))
  ).map((each) => each.outerHTML)`

  const ATTACKS = [
    INJECTED,
    `"><script>alert(1)</script>`,
    `"'></title></textarea><svg onload=alert(1)>`,
    `' onfocus=alert(1) autofocus x='`,
    `" onfocus=alert(1) autofocus x="`,
    'javascript:alert(1)',
  ]

  test('nothing that is sent with a request becomes part of a page', async () => {
    const { context, page, said } = await gullible()
    const expectClean = async (what: string) =>
      expect([what, await page.evaluate(FOREIGN), said]).toEqual([what, [], []])
    for (const attack of ATTACKS) {
      for (const names of [['ui_locales', 'theme', attack], ['return_to']]) {
        const query = new URLSearchParams(Object.fromEntries(names.map((name) => [name, attack]))).toString()
        await page.goto(hosted.at(`/account/reset?${query}#token=${encodeURIComponent(attack)}`))
        await expectClean(`${names.join()} ${attack}`)
      }
      for (const [path, others] of [
        ['sign-in', { password: PASSWORD }],
        ['register', { password: PASSWORD }],
        ['forgot', {}],
      ] as const) {
        await page.goto(hosted.at(`/account/${path}`))
        // Browsers would not send it as an address.
        await page.evaluate('document.forms[0].noValidate = true')
        await fill(page, { email: attack, ...others })
        expect(await page.locator('[name=email]').inputValue()).toBe(attack)
        await expectClean(`${path} ${attack}`)
      }
    }
    await context.close()
  })

  test('nor does an address, a device or the name of the service, which are shown as they are', async () => {
    const { context, page, said } = await gullible()
    const email = `x'onfocus=alert\`1\`/&lt&#39&quot{}@example.com`
    await page.goto(hosted.at('/account/register'))
    await fill(page, { email, password: PASSWORD })
    await hosted.signInElsewhere(email, INJECTED)
    await page.goto(hosted.at('/account'))
    expect(await page.locator('.head .lead').innerText()).toBe(email)
    expect(await page.locator('.brand').innerText()).toBe(BRAND)
    expect(await page.title()).toBe(`Your account · ${BRAND}`)
    expect(await page.locator('.list .name').allInnerTexts()).toEqual(
      expect.arrayContaining(['Evil 1.0', 'Unknown device']),
    )
    expect([await page.evaluate(FOREIGN), said]).toEqual([[], []])
    await page.goto(hosted.at('/account/password'))
    expect(await page.locator('[autocomplete=username]').inputValue()).toBe(email)
    await page.goto(hosted.at('/account/forgot'))
    await fill(page, { email })
    expect(await page.locator('.lead').innerText()).toContain(email)
    expect([await page.evaluate(FOREIGN), said]).toEqual([[], []])
    await context.close()
  })

  test('whatever got into a page all the same could not run, and could send nothing to anybody', async () => {
    const page = await hosted.browser.newPage()
    await page.goto(hosted.at('/account/sign-in'))
    const answered: string[] = []
    page.on('requestfinished', (request) => answered.push(request.url()))
    await page.evaluate(`(() => {
      const put = (markup) => document.body.insertAdjacentHTML('beforeend', markup)
      put('<img src="${site.origin}/img" onerror="ran = 1"><svg onload="ran = 2"></svg><base href="${site.origin}/"><style>body { color: red }</style>')
      put('<iframe srcdoc="<script>parent.ran = 3</script>"></iframe><iframe src="${site.origin}/blank"></iframe>')
      for (const [name, value] of [['textContent', 'ran = 4'], ['src', '${site.origin}/sdk.js']])
        document.body.append(Object.assign(document.createElement('script'), { [name]: value }))
      put('<a id="run" href="javascript:ran = 5">x</a><form id="leak" method="post" action="${site.origin}/bare"></form>')
      document.getElementById('run').click()
      document.getElementById('leak').submit()
      fetch('${site.origin}/bare').catch(() => {})
    })()`)
    await page.waitForLoadState('networkidle')
    expect(await page.evaluate('typeof ran')).toBe('undefined')
    expect(page.url()).toBe(hosted.at('/account/sign-in'))
    expect(answered.filter((url) => url.startsWith(site.origin))).toEqual([])
    await page.close()
  })
})
