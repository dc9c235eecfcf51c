import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fill, type Hosted, heading, NEXT, newAddress, openHosted, PASSWORD, signIn, WRONG } from './hosted.ts'
import { eventually, patience, withoutBrowser } from './support.ts'

// Without a mouse. Nothing here clicks but what prepares a case.

interface Focus {
  what: string
  /** What a screen reader says after the name. */
  described: string
  /** The colour of a line around it, if there is one that can be seen. */
  marked: string
}

const FOCUS = `(() => {
  const has = document.activeElement
  if (has === document.body) return undefined
  const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(has)
  const { top, bottom } = has.getBoundingClientRect()
  const ids = (has.getAttribute('aria-describedby') ?? '').split(' ').filter(Boolean)
  return {
    what: has.getAttribute('aria-label') || has.name || has.textContent.trim(),
    described: ids.map((id) => document.getElementById(id).textContent).join(' '),
    marked: outlineStyle === 'solid' && parseFloat(outlineWidth) >= 2 && top >= 0 && bottom <= innerHeight ? outlineColor : '',
  }
})()`

describe.skipIf(withoutBrowser)('with the keyboard alone', patience, () => {
  let hosted: Hosted
  beforeAll(async () => {
    hosted = await openHosted()
  })
  afterAll(() => hosted?.[Symbol.asyncDispose]())

  const focus = (page: Page) => page.evaluate<Focus | undefined>(FOCUS)
  /** Browsers give the focus with the first picture, which may come after everything is loaded. */
  const expectFocus = (page: Page, what: string, described?: unknown) =>
    eventually(() => focus(page)).toMatchObject({ what, ...(described === undefined ? {} : { described }) })

  async function pressEnter(page: Page): Promise<void> {
    const loaded = page.waitForEvent('load')
    await page.keyboard.press('Enter')
    await loaded
  }

  /** All stops from where the focus is, in the order of the Tab key. Each is marked in the colour of the operator. */
  async function stops(page: Page): Promise<string[]> {
    const accent = await page.evaluate<string>(`(() => {
      const probe = document.body.appendChild(document.createElement('i'))
      probe.style.color = 'var(--accent)'
      const { color } = getComputedStyle(probe)
      probe.remove()
      return color
    })()`)
    const found: string[] = []
    for (let at = await focus(page); at && at.what !== found[0]; at = await focus(page)) {
      expect(at).toMatchObject({ what: expect.stringMatching(/./), marked: accent })
      found.push(at.what)
      await page.keyboard.press('Tab')
    }
    return found
  }

  test('somebody signs in, sees where they are all the way, and gets to everything', async () => {
    const email = await hosted.member()
    await hosted.signInElsewhere(email, 'curl/8.1')
    const page = await hosted.browser.newPage()
    await page.goto(hosted.at('/account/sign-in'))
    await expectFocus(page, 'email')
    expect(await stops(page)).toEqual([
      'email',
      'password',
      'remember',
      'Forgot password?',
      'Sign in',
      'Create an account',
      'Deutsch',
      'Русский',
    ])
    await page.reload()
    await expectFocus(page, 'email')
    await page.keyboard.type(email)
    await page.keyboard.press('Tab')
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press('Tab')
    await page.keyboard.press('Space')
    expect(await page.locator('[name=remember]').isChecked()).toBe(true)
    await page.keyboard.press('Tab')
    await page.keyboard.press('Tab')
    await expectFocus(page, 'Sign in')
    await pressEnter(page)
    expect(page.url()).toBe(hosted.at('/account'))

    await page.keyboard.press('Tab')
    expect(await stops(page)).toEqual([
      'Sign out',
      'Change email address',
      'Change password',
      'End the session of curl 8.1',
      'End all other sessions',
      'Deutsch',
      'Русский',
    ])
    await page.reload()
    for (let presses = 0; presses < 4; presses++) await page.keyboard.press('Tab')
    await pressEnter(page)
    expect(await page.getByRole('status').innerText()).toBe('The session has ended.')
    await page.close()
  })

  test('Enter in the last field sends the form, and not another one of the page', async () => {
    const email = await hosted.member()
    const page = await hosted.browser.newPage()
    await signIn(hosted, page, email, PASSWORD)
    await page.goto(hosted.at('/account/password'))
    await expectFocus(page, 'current_password')
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press('Tab')
    await page.keyboard.type(NEXT)
    await pressEnter(page)
    expect(await heading(page)).toBe('Your password has been changed')
    await page.close()
  })

  test('a form that was refused goes on at the field that was wrong, or says there what was wrong with all', async () => {
    const email = await hosted.member()
    const page = await hosted.browser.newPage()
    const refused = async (fields: Record<string, string>, what: string, described: unknown) => {
      await fill(page, fields)
      expect(await page.title()).toMatch(/^Error: /)
      await expectFocus(page, what, described)
    }
    const notGood = expect.stringMatching(/^This link or code is not valid/)
    await page.goto(hosted.at('/account/register'))
    const weak = { email: newAddress(), password: 'password123' }
    await refused(weak, 'password', 'This password is too easy to guess. Choose another one.')
    await page.goto(hosted.at('/account/sign-in'))
    await refused({ email: 'ada@example', password: WRONG }, 'email', 'This is not a valid email address.')
    await refused({ email, password: WRONG }, 'password', 'The email address or the password is wrong.')
    await signIn(hosted, page, email, PASSWORD)
    await page.goto(hosted.at('/account/change-email'))
    const guessed = { email: newAddress(), current_password: WRONG }
    await refused(guessed, 'current_password', 'This is not your current password.')
    await page.goto(hosted.at('/account/email'))
    await refused({ code: '0000 0000' }, 'code', notGood)
    await page.goto(hosted.at('/account/reset'))
    await refused({ email, code: '0000 0000', password: NEXT }, 'email', notGood)
    await page.goto(hosted.at('/account/undo'))
    await refused({ token: 'none' }, 'token', notGood)
    await page.close()
  })

  test('the link of a mail leads to the first thing that is left to do', async () => {
    const page = await hosted.browser.newPage()
    for (const [path, byLink, byHand] of [
      ['reset', 'password', 'email'],
      ['verify', 'password', 'email'],
      ['invitation', 'password', 'email'],
      ['email', 'Confirm', 'code'],
      ['undo', 'Undo the change', 'token'],
    ] as const) {
      await page.goto(hosted.at(`/account/${path}#token=none`))
      await expectFocus(page, byLink)
      await page.goto(hosted.at(`/account/${path}?`))
      await expectFocus(page, byHand)
    }
    await page.close()
  })
})
