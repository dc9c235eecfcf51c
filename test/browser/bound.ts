import type { Browser, Page } from 'playwright-core'
import { expect } from 'vitest'
import type { Client } from '../../sdk/browser/src/index.ts'
import { createWorld, type World } from './support.ts'

/** A world whose app binds its sessions. */
export async function createBoundWorld(browser: Browser, env: Record<string, string> = {}): Promise<World> {
  const world = await createWorld(browser, env)
  world.site.options = { dpop: true }
  return world
}

/** @param path where there is no client until the page begins it: `/blank`. */
export async function reload(page: Page, path = '/'): Promise<void> {
  await page.reload()
  await page.waitForFunction('window.loaded')
  if (path === '/blank') await page.evaluate('begin()')
  await page.evaluate('auth.ready.catch(() => {})')
}

export const binding = (page: Page): Promise<Client['dpop']> => page.evaluate<Client['dpop']>('auth.dpop')
export const BOUND = { jkt: expect.stringMatching(/^[\w-]{43}$/), bound: true }
export const statuses = (world: World, path: string): (number | undefined)[] =>
  world.line.to(path).map(({ status }) => status)

/** Asks the issuer in the name of whoever is signed in. @returns the status, or the code of the error. */
export const me = (world: World, page: Page): Promise<unknown> =>
  page.evaluate(`auth.fetch('${world.line.url}/me').then(({ status }) => status, ({ code }) => code)`)

/** @returns the address of whoever is signed in then, or the code of the error. */
export const refreshed = (page: Page): Promise<unknown> =>
  page.evaluate('auth.refresh().then((found) => found && found.email, ({ code }) => code)')
