import pg from 'pg'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { postJson } from '../support/post-json.ts'
import {
  fill,
  type Hosted,
  heading,
  type Letter,
  NEXT,
  newAddress,
  openHosted,
  PASSWORD,
  press,
  signIn,
} from './hosted.ts'
import { patience, refreshCookie, withoutBrowser } from './support.ts'

// An account from its first day to its last, in a browser and a mailbox.

describe.skipIf(withoutBrowser)('the life of an account', patience, () => {
  let hosted: Hosted
  beforeAll(async () => {
    hosted = await openHosted()
  })
  afterAll(() => hosted?.[Symbol.asyncDispose]())

  /** Opens the link of a mail, or types what it brought where scripts are off. */
  async function follow(page: Page, { link, token, code }: Letter, scripts: boolean, email?: string): Promise<void> {
    const [path = ''] = link.split('#')
    await page.goto(scripts ? link : path)
    expect(page.url()).toBe(path)
    if (scripts) {
      // What would have to be typed is out of the way.
      expect(await page.locator('[name=email], [name=code], [name=token]').filter({ visible: true }).count()).toBe(0)
      return
    }
    if (email !== undefined) await page.locator('[name=email]').fill(email)
    if (code === '') await page.locator('[name=token]').fill(token)
    else await page.locator('[name=code]').fill(code)
  }

  test.each([true, false])(
    'with scripts %j: register, verify, forget, reset, change address, undo, leave',
    async (scripts) => {
      const { at, letterTo } = hosted
      const context = await hosted.browser.newContext({ javaScriptEnabled: scripts })
      const page = await context.newPage()
      const link = (name: string) => page.getByRole('link', { name })
      const button = (name: string) => page.getByRole('button', { name })
      const [email, other] = [newAddress(), newAddress()]

      await page.goto(at('/account/sign-in'))
      await press(page, link('Create an account'))
      await fill(page, { email, password: PASSWORD })
      expect(await heading(page)).toBe('Check your mail')
      await letterTo(email, 'verify')
      await signIn(hosted, page, email, PASSWORD)
      expect(await page.getByRole('alert').innerText()).toContain('has not been confirmed yet')
      await press(page, link('Send another mail'))
      await fill(page, { email })
      await follow(page, await letterTo(email, 'verify'), scripts, email)
      await fill(page, { password: PASSWORD })
      expect(await heading(page)).toBe('Your address is confirmed')

      await press(page, link('Sign in'))
      await page.getByLabel('Stay signed in').check()
      await fill(page, { email, password: PASSWORD })
      expect(page.url()).toBe(at('/account'))
      expect((await refreshCookie(context))?.expires).toBeGreaterThan(Date.now() / 1000 + 86_400)
      await hosted.signInElsewhere(email, 'curl/8.1')
      await press(page, link('Change password'))
      await fill(page, { current_password: PASSWORD, new_password: NEXT })
      expect(await heading(page)).toBe('Your password has been changed')
      await press(page, link('Back to your account'))
      // The session elsewhere has ended with the old password.
      expect(await page.locator('.list button').count()).toBe(0)
      await press(page, button('Sign out'))
      expect(await heading(page)).toBe('You are signed out')
      expect(await refreshCookie(context)).toBeUndefined()

      await press(page, link('Sign in again'))
      await press(page, link('Forgot password?'))
      await fill(page, { email })
      await follow(page, await letterTo(email, 'reset'), scripts, email)
      await fill(page, { password: PASSWORD })
      expect(await heading(page)).toBe('Your password has been set')
      await signIn(hosted, page, email, NEXT)
      expect(await page.getByRole('alert').innerText()).toBe('The email address or the password is wrong.')
      await fill(page, { email, password: PASSWORD })
      expect(page.url()).toBe(at('/account'))

      await press(page, link('Change email address'))
      await fill(page, { email: other, current_password: PASSWORD })
      expect(await heading(page)).toBe('Check the new mailbox')
      await follow(page, await letterTo(other, 'email'), scripts)
      await fill(page, {})
      expect(await heading(page)).toBe('Your address has been changed')
      await press(page, link('Back to your account'))
      expect(await page.locator('main').innerText()).toContain(other)

      await follow(page, await letterTo(email, 'undo'), scripts)
      await fill(page, {})
      expect(await heading(page)).toBe('Your old address is back')
      await page.goto(at('/account'))
      expect(page.url()).toBe(at('/account/sign-in'))
      await fill(page, { email, password: PASSWORD })
      expect(await page.getByRole('alert').innerText()).toBe('The email address or the password is wrong.')
      await follow(page, await letterTo(email, 'reset'), scripts, email)
      await fill(page, { password: NEXT })
      await signIn(hosted, page, email, NEXT)
      expect(await page.locator('main').innerText()).toContain(email)

      await hosted.command(['users', 'delete', email, '--yes'])
      await page.reload()
      expect(page.url()).toBe(at('/account/sign-in'))
      await fill(page, { email, password: NEXT })
      expect(await page.getByRole('alert').innerText()).toBe('The email address or the password is wrong.')
      await context.close()
    },
  )

  test.each([true, false])(
    'with scripts %j: somebody who was invited makes an account, and ends a session elsewhere',
    async (scripts) => {
      const context = await hosted.browser.newContext({ javaScriptEnabled: scripts })
      const page = await context.newPage()
      const email = newAddress()
      await hosted.command(['users', 'invite', email])
      await follow(page, await hosted.letterTo(email, 'invitation'), scripts, email)
      await fill(page, { password: PASSWORD })
      expect(await heading(page)).toBe('Your account has been created')
      for (const device of ['curl/8.1', 'Wget/1.2']) await hosted.signInElsewhere(email, device)
      await press(page, page.getByRole('link', { name: 'Sign in' }))
      await fill(page, { email, password: PASSWORD })
      await press(page, page.getByRole('button', { name: 'End the session of curl 8.1' }))
      expect(await page.getByRole('status').innerText()).toBe('The session has ended.')
      expect(await page.locator('.list button').count()).toBe(1)
      await press(page, page.getByRole('button', { name: 'End all other sessions' }))
      expect(await page.locator('.list button').count()).toBe(0)
      await context.close()
    },
  )

  /** Everything that a link could have changed. */
  async function rows(): Promise<unknown[]> {
    const client = new pg.Client({ connectionString: hosted.database.ownerUrl })
    await client.connect()
    const found: unknown[] = []
    for (const table of ['users', 'families', 'one_time_codes', 'mail_counts'])
      found.push((await client.query(`SELECT t::text FROM ${table} t ORDER BY 1`)).rows)
    await client.end()
    return found
  }

  test('a scanner that opens every link and runs its scripts uses up none', async () => {
    const { at, letterTo } = hosted
    const [unproved, guest, wanted, moved] = [newAddress(), newAddress(), newAddress(), newAddress()]
    const [mover, other, forgetful] = [await hosted.member(), await hosted.member(), await hosted.member()]
    const change = async (from: string, to: string) => {
      const authorization = `Bearer ${await hosted.signInElsewhere(from, 'curl/8.1')}`
      await postJson(at('/email'), { email: to, current_password: PASSWORD }, { authorization })
      return letterTo(to, 'email')
    }
    await postJson(at('/register'), { email: unproved, password: PASSWORD })
    await hosted.command(['users', 'invite', guest])
    await postJson(at('/password/forgot'), { email: forgetful })
    await postJson(at('/email/confirm'), { token: (await change(other, moved)).token })
    const letters = [
      await letterTo(unproved, 'verify'),
      await letterTo(guest, 'invitation'),
      await letterTo(forgetful, 'reset'),
      await letterTo(other, 'undo'),
      await change(mover, wanted),
    ]

    const before = await rows()
    const context = await hosted.browser.newContext()
    const methods: string[] = []
    context.on('request', (request) => methods.push(request.method()))
    const scan = async ({ link }: Letter) => {
      const page = await context.newPage()
      await page.goto(link, { waitUntil: 'networkidle' })
      expect(page.url()).toBe(link.split('#')[0])
      await page.mouse.move(200, 200)
      await page.mouse.wheel(0, 2000)
      await page.close()
    }
    await Promise.all([...letters, ...letters].map(scan))
    expect(new Set(methods)).toEqual(new Set(['GET']))
    expect(await rows()).toEqual(before)
    // What follows the # is told to nobody, not even to the server.
    for (const letter of letters) expect(hosted.output()).not.toContain(letter.token)

    // All are as good as they were.
    const page = await context.newPage()
    for (const { link } of letters) {
      await page.goto(link)
      const password = page.locator('[name=password]')
      await fill(page, (await password.count()) > 0 ? { password: NEXT } : {})
      expect(await page.getByRole('alert').count()).toBe(0)
    }
    await context.close()
  })
})
