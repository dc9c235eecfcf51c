import { randomUUID } from 'node:crypto'
import type { Browser, Locator, Page } from 'playwright-core'
import PostalMime from 'postal-mime'
import { run } from '../cli/support.ts'
import { testEnvironment } from '../support/app.ts'
import { noteSecret } from '../support/canary.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { startServer } from '../support/server.ts'
import { startSmtpServer } from '../support/smtp.ts'
import { eventually, launchChromium } from './support.ts'

export const PASSWORD = 'four quiet otters hum'
export const NEXT = 'seven brisk herons glide'
export const WRONG = 'ten loud geese march'

export const newAddress = (): string => `user-${randomUUID()}@example.com`

/** What brought somebody a link, and a code if there is one. */
export interface Letter {
  link: string
  token: string
  code: string
}

export interface Hosted extends AsyncDisposable {
  browser: Browser
  database: TestDatabase
  /** The address of a page under the issuer's own name: forms of pages under another are refused. */
  at(path: string): string
  /** The next mail to an address that leads to this page, once it has come. */
  letterTo(address: string, page: 'verify' | 'reset' | 'email' | 'undo' | 'invitation'): Promise<Letter>
  /** As an operator types it. */
  command(args: string[], stdin?: string): Promise<void>
  /** An account that an operator made, with `PASSWORD`. @returns its address. */
  member(): Promise<string>
  /** A session of an app elsewhere. @returns its access token. */
  signInElsewhere(email: string, userAgent: string): Promise<string>
  /** What the server has logged. */
  output(): string
}

/** A server with its pages, a mail server that it talks to, and a browser. */
export async function openHosted(env: Record<string, string> = {}): Promise<Hosted> {
  for (const secret of [PASSWORD, NEXT, WRONG]) noteSecret(secret)
  const [browser, database, smtp] = await Promise.all([launchChromium(), cloneDatabase(), startSmtpServer()])
  const mail = { SMTP_URL: `smtp://localhost:${smtp.port}`, MAIL_FROM: 'no-reply@example.com' }
  const server = await startServer({ databaseUrl: database.url, env: { ...mail, ...env } })
  const issuer = server.url.replace('127.0.0.1', 'localhost')
  const read = new Set<string>()

  async function unread(address: string, page: string): Promise<Letter | undefined> {
    const mine = smtp.mails.filter(({ to }) => to.includes(address))
    for (const { text = '' } of await Promise.all(mine.map(({ raw }) => PostalMime.parse(raw)))) {
      const [link, token = ''] = RegExp(`^${issuer}/account/${page}#token=(\\S+)$`, 'm').exec(text) ?? []
      if (link === undefined || read.has(link)) continue
      read.add(link)
      noteSecret(token)
      return { link, token, code: /^\d{4} \d{4}$/m.exec(text)?.[0] ?? '' }
    }
    return undefined
  }

  const hosted: Hosted = {
    browser,
    database,
    at: (path) => issuer + path,
    output: server.output,
    letterTo: async (address, page) => {
      let letter: Letter | undefined
      await eventually(async () => {
        letter ??= await unread(address, page)
        return letter?.link
      }, `a mail to ${address} that leads to ${page}`).toBeTruthy()
      return letter as Letter
    },
    command: async (args, stdin = '') => {
      const settings = { ...testEnvironment(database.url), ISSUER: issuer, ...mail, ...env }
      const { code, err } = await run(args, { env: settings, stdin })
      if (code !== 0) throw new Error(`claviger ${args.join(' ')}: ${err}`)
    },
    member: async () => {
      const email = newAddress()
      await hosted.command(['users', 'create', email], `${PASSWORD}\n`)
      return email
    },
    signInElsewhere: async (email, userAgent) => {
      const login = { email, password: PASSWORD, client_id: 'native' }
      const answer = await postJson(`${server.url}/login`, login, { 'user-agent': userAgent })
      if (answer.status !== 200) throw new Error(`the sign-in was answered ${answer.status}`)
      return ((await answer.json()) as { access_token: string }).access_token
    },
    [Symbol.asyncDispose]: async () => {
      await browser.close()
      await server.stop()
      await smtp[Symbol.asyncDispose]()
      await database.drop()
    },
  }
  return hosted
}

/** Presses something that leads to another page, and waits for it. */
export async function press(page: Page, what: Locator): Promise<void> {
  const loaded = page.waitForEvent('load')
  await what.click()
  await loaded
}

/** Fills in the form of a page and sends it. */
export async function fill(page: Page, fields: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(fields)) await page.locator(`[name=${name}]`).fill(value)
  await press(page, page.locator('main form button.primary'))
}

export async function signIn(hosted: Hosted, page: Page, email: string, password: string): Promise<void> {
  await page.goto(hosted.at('/account/sign-in'))
  await fill(page, { email, password })
}

/** The heading of the page. */
export const heading = (page: Page): Promise<string> => page.locator('h1').innerText()
