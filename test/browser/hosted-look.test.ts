import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fill, type Hosted, NEXT, newAddress, openHosted, PASSWORD, press, signIn, WRONG } from './hosted.ts'
import { openSite, type Site } from './pages.ts'
import { patience, withoutBrowser } from './support.ts'
import { openVisitor } from './visitor.ts'

// Every page, and every form that was refused, as it comes up on somebody's way through them. What they answer is in test/pages.

describe.skipIf(withoutBrowser)('pages', patience, () => {
  let hosted: Hosted
  let site: Site
  beforeAll(async () => {
    site = await openSite()
    hosted = await openHosted({ ALLOWED_ORIGINS: site.origin })
  })
  afterAll(async () => {
    await hosted?.[Symbol.asyncDispose]()
    await site?.[Symbol.asyncDispose]()
  })

  const open = (page: Page, path: string) => page.goto(hosted.at(path))
  const linkIn = (page: Page, name: string) => page.getByRole('link', { name })

  test('of somebody who makes an account', async () => {
    await using visitor = await openVisitor(hosted.browser)
    const { page, look } = visitor
    const email = newAddress()
    await open(page, '/account/register')
    await look('register', 'Create an account')
    await fill(page, { email, password: 'password123' })
    await look('register, refused', 'Create an account')
    await fill(page, { email, password: PASSWORD })
    await look('registered', 'Check your mail')
    await hosted.letterTo(email, 'verify')
    await signIn(hosted, page, email, PASSWORD)
    await look('sign-in, unverified', 'Sign in')
    await press(page, linkIn(page, 'Send another mail'))
    await look('resend', 'Send another mail')
    await fill(page, { email })
    await look('resent', 'Check your mail')
    await press(page, linkIn(page, 'Enter the code'))
    await look('verify by a code', 'Confirm your email address')
    await fill(page, { email, code: '0000 0000', password: PASSWORD })
    await look('verify, refused', 'Confirm your email address')
    // Another link, in the same tab.
    await page.goto((await hosted.letterTo(email, 'verify')).link)
    await page.locator('.typed').waitFor({ state: 'hidden' })
    await look('verify by a link', 'Confirm your email address')
    await fill(page, { password: 'password123' })
    await look('verify by a link, refused', 'Confirm your email address')
    await fill(page, { password: PASSWORD })
    await look('verified', 'Your address is confirmed')
    expect(visitor.faults).toEqual([])
  })

  test('of somebody who has forgotten the password', async () => {
    await using visitor = await openVisitor(hosted.browser)
    const { page, look } = visitor
    const email = await hosted.member()
    await open(page, '/account/sign-in')
    await look('sign-in', 'Sign in')
    await fill(page, { email, password: WRONG })
    await look('sign-in, refused', 'Sign in')
    await press(page, linkIn(page, 'Forgot password?'))
    await look('forgot', 'Forgot your password?')
    // What browsers take for an address and servers do not.
    await fill(page, { email: 'ada@example' })
    await look('forgot, refused', 'Forgot your password?')
    await fill(page, { email })
    await look('reset mail is on its way', 'Check your mail')
    await press(page, linkIn(page, 'Enter the code'))
    await look('reset by a code', 'Choose a new password')
    await fill(page, { email, code: '0000 0000', password: NEXT })
    await look('reset, refused', 'Choose a new password')
    await open(page, '/account')
    await page.goto((await hosted.letterTo(email, 'reset')).link)
    await look('reset by a link', 'Choose a new password')
    await fill(page, { password: NEXT })
    await look('reset', 'Your password has been set')
    await signIn(hosted, page, email, NEXT)
    await press(page, page.getByRole('button', { name: 'Sign out' }))
    await look('signed out', 'You are signed out')
    expect(visitor.faults).toEqual([])
  })

  test('of somebody who is signed in', async () => {
    await using visitor = await openVisitor(hosted.browser)
    const { page, look } = visitor
    const email = await hosted.member()
    for (const device of ['Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0', 'curl/8.1'])
      await hosted.signInElsewhere(email, device)
    const back = `/account/sign-in?return_to=${encodeURIComponent(site.origin)}`
    await open(page, back)
    await look('sign-in for a site', 'Sign in')
    // The site has nothing to show, so the page that leads to it stays.
    await page.route(`${site.origin}/**`, (route) => route.fulfill({ status: 204 }))
    await fill(page, { email, password: PASSWORD })
    await look('on the way back', 'You are signed in')
    await page.unroute(`${site.origin}/**`)
    await open(page, back)
    await look('signed in already', 'You are signed in')
    await open(page, back.replace('/sign-in', ''))
    await look('account', 'Your account')
    const stale = await page.context().newPage()
    await stale.goto(hosted.at('/account'))
    const end = (tab: Page) => press(tab, tab.getByRole('button', { name: 'End the session of curl 8.1' }))
    await end(stale)
    await stale.close()
    await end(page)
    await look('account, nothing to end', 'Your account')
    await press(page, page.getByRole('button', { name: 'End all other sessions' }))
    await look('account, all others ended', 'Your account')

    await press(page, linkIn(page, 'Change password'))
    await look('password', 'Change your password')
    await fill(page, { current_password: WRONG, new_password: NEXT })
    await look('password, refused', 'Change your password')
    await fill(page, { current_password: PASSWORD, new_password: NEXT })
    await look('password changed', 'Your password has been changed')
    await open(page, '/account/password')
    await hosted.command(['sessions', 'end', '--user', email])
    await fill(page, { current_password: NEXT, new_password: PASSWORD })
    await look('session ended meanwhile', 'Your session has ended. Sign in again.')
    await signIn(hosted, page, email, NEXT)

    const wanted = newAddress()
    await open(page, '/account/change-email')
    await look('change of address', 'Change your email address')
    await fill(page, { email: wanted, current_password: WRONG })
    await look('change of address, refused', 'Change your email address')
    await fill(page, { email: wanted, current_password: NEXT })
    await look('change of address is asked for', 'Check the new mailbox')
    await press(page, linkIn(page, 'Enter the code'))
    await look('new address by a code', 'Confirm your new address')
    await fill(page, { code: '0000 0000' })
    await look('new address, refused', 'Confirm your new address')
    await open(page, '/account')
    await page.goto((await hosted.letterTo(wanted, 'email')).link)
    await look('new address by a link', 'Confirm your new address')
    await fill(page, {})
    await look('new address', 'Your address has been changed')

    await open(page, '/account/undo')
    await look('undo without a link', 'Undo the change of address')
    await fill(page, { token: 'none' })
    await look('undo, refused', 'Undo the change of address')
    await open(page, '/account')
    await page.goto((await hosted.letterTo(email, 'undo')).link)
    await look('undo by a link', 'Undo the change of address')
    await fill(page, {})
    await look('undone', 'Your old address is back')
    expect(visitor.faults).toEqual([])
  })

  test('of somebody who was invited, and of requests that are refused altogether', async () => {
    await using visitor = await openVisitor(hosted.browser)
    const { page, look } = visitor
    const email = newAddress()
    await hosted.command(['users', 'invite', email])
    await page.goto((await hosted.letterTo(email, 'invitation')).link)
    await look('invitation', 'You are invited')
    await fill(page, { password: 'password123' })
    await look('invitation, refused', 'You are invited')
    await fill(page, { password: PASSWORD })
    await look('invitation accepted', 'Your account has been created')

    await open(page, '/account/sign-in?return_to=https://evil.example')
    await look('a site that nobody knows', 'That did not work')
    const [link, form] = [hosted.at('/account'), hosted.at('/account/sign-in')]
    site.html = `<a href="${link}">account</a><form method="post" action="${form}"><button>Sign in</button></form>`
    const elsewhere = `${site.origin.replace('localhost', '127.0.0.1')}/bare`
    await page.goto(elsewhere)
    await press(page, page.getByRole('button'))
    await look('a form of another site', 'That did not work')
    await page.goto(elsewhere)
    // The page leads on at once, to the same address, where there is nothing to show the second time.
    await page.route(link, (route) => route.fulfill({ status: 204 }))
    await page.route(link, (route) => route.continue(), { times: 1 })
    await press(page, page.getByRole('link'))
    await look('from another site', 'Your account')
    expect(visitor.faults).toEqual([])
  })

  test.each(['de', 'ru'])('in the language %s, whose words are longer', async (locale) => {
    await using visitor = await openVisitor(hosted.browser)
    const { page, measure } = visitor
    const email = await hosted.member()
    for (const path of ['register', 'sign-in', 'forgot', 'resend', 'reset', 'verify', 'invitation', 'email', 'undo']) {
      await open(page, `/account/${path}?ui_locales=${locale}`)
      await measure(path)
    }
    await signIn(hosted, page, email, PASSWORD)
    for (const path of ['/account', '/account/password', '/account/change-email', '/account/sign-in']) {
      await open(page, `${path}?ui_locales=${locale}`)
      await measure(path)
    }
    expect(visitor.faults).toEqual([])
  })

  test('of a theme that was asked for, whatever the system has', async () => {
    await using visitor = await openVisitor(hosted.browser)
    const { page } = visitor
    const ground = () => page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
    const shown: string[] = []
    for (const [colorScheme, theme] of [
      ['light', ''],
      ['dark', ''],
      ['dark', 'light'],
      ['light', 'dark'],
    ] as const) {
      await page.emulateMedia({ colorScheme })
      await open(page, `/account/sign-in?theme=${theme}`)
      shown.push(await ground())
    }
    const [light, dark] = shown
    expect(light).not.toBe(dark)
    expect(shown).toEqual([light, dark, light, dark])
  })
})
