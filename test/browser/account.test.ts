import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startSmtpServer } from '../support/smtp.ts'
import {
  createWorld,
  eventually,
  launchChromium,
  patience,
  signIn,
  user,
  type World,
  withoutBrowser,
} from './support.ts'

// The account module in tabs that share a session. What it asks and answers is in test/sdk/browser-account.test.ts.

describe.skipIf(withoutBrowser)('one’s own account', patience, () => {
  let browser: Browser
  let bundle: string
  beforeAll(async () => {
    browser = await launchChromium()
    const entry = join(import.meta.dirname, '../../sdk/browser/src/account.ts')
    const built = await build({
      configFile: false,
      logLevel: 'error',
      build: { write: false, target: 'es2022', lib: { entry, formats: ['es'] } },
    })
    const [result] = Array.isArray(built) ? built : [built]
    if (!result || !('output' in result)) throw new Error('nothing was built')
    bundle = result.output[0].code
  })
  afterAll(() => browser?.close())

  async function openSignedIn(world: World): Promise<[Page, Page]> {
    world.site.files.set('/account.js', bundle)
    const [one, two] = [await world.open(), await world.open()]
    await signIn(world, one)
    await eventually(() => user(two)).toBe(world.email)
    await one.evaluate("import('/account.js').then(({ account }) => { window.mine = account(auth) })")
    return [one, two]
  }

  test('a new password ends the sessions elsewhere; this one’s tabs go on', async () => {
    await using world = await createWorld(browser)
    const [one, two] = await openSignedIn(world)
    const elsewhere = await browser.newContext()
    const other = await elsewhere.newPage()
    await other.goto(world.site.origin)
    await other.waitForFunction('window.loaded')
    await signIn(world, other)
    // Otherwise the end of the session might as well be a cookie that was never kept.
    await other.evaluate('auth.refresh()')

    const change = { currentPassword: world.password, newPassword: `${world.password}, a new one` }
    await one.evaluate(`mine.changePassword(${JSON.stringify(change)})`)
    expect(await other.evaluate('auth.refresh()')).toBeNull()
    expect(await two.evaluate('auth.refresh().then(({ email }) => email)')).toBe(world.email)
    expect(await one.evaluate('mine.me().then(({ email }) => email)')).toBe(world.email)
    await elsewhere.close()
  })

  test('another address is known in all tabs as soon as one has confirmed it', async () => {
    await using smtp = await startSmtpServer()
    const env = {
      SMTP_URL: `smtp://127.0.0.1:${smtp.port}`,
      MAIL_FROM: 'no-reply@example.com',
      EMAIL_VERIFICATION: 'off',
    }
    await using world = await createWorld(browser, env)
    const [one, two] = await openSignedIn(world)
    const email = `next-${world.email}`
    await one.evaluate(`mine.changeEmail(${JSON.stringify({ email, currentPassword: world.password })})`)
    const code = () => /^\d{4} \d{4}(?=\r?$)/m.exec(smtp.mails.find(({ to }) => to.includes(email))?.raw ?? '')?.[0]
    await eventually(code).toBeDefined()
    await one.evaluate(`mine.confirmEmail(${JSON.stringify({ code: code() })})`)
    expect(await user(one)).toBe(email)
    await eventually(() => user(two)).toBe(email)
    expect(await two.evaluate('changes.at(-1)')).toEqual(['signed-in', email, 'other-tab'])
  })

  test('the end of one’s own session signs out all its tabs, and says why', async () => {
    await using world = await createWorld(browser)
    const [one, two] = await openSignedIn(world)
    await one.evaluate('mine.sessions().then(([{ id }]) => mine.endSession(id))')
    expect(await user(one)).toBeNull()
    await eventually(() => two.evaluate('changes.at(-1)')).toEqual(['signed-out', null, 'ended'])
    expect(await one.evaluate('changes.at(-1)')).toEqual(['signed-out', null, 'ended'])
  })

  test('the token of a link is taken out of the address and the history, once', async () => {
    await using world = await createWorld(browser)
    world.site.files.set('/account.js', bundle)
    const page = await world.open('/blank')
    const take = async (hash: string) => {
      await page.evaluate(`history.pushState({ scroll: 40 }, '', '/reset?of=mail${hash}')`)
      const before = await page.evaluate('history.length')
      const taken = await page.evaluate(
        "import('/account.js').then(({ takeToken }) => [takeToken() ?? null, takeToken() ?? null])",
      )
      expect(await page.evaluate('[history.length, history.state]')).toEqual([before, { scroll: 40 }])
      return [taken, page.url().replace(world.site.origin, '')]
    }
    const token = 'kC9_x-4'
    expect(await take(`#token=${token}`)).toEqual([[token, null], '/reset?of=mail'])
    expect(await take(`#/reset?token=${token}`), 'a router with its path in the fragment').toEqual([
      [token, null],
      '/reset?of=mail#/reset',
    ])
    for (const none of ['', '#signed-in', '#token=', '#mytoken=a', '#token=a%20b'])
      expect(await take(none)).toEqual([[null, null], `/reset?of=mail${none}`])
  })
})
