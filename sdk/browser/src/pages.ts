import { platform } from './platform.ts'
import type { Client } from './types.ts'

export interface PageOptions {
  /**
   * Where the page leads back to once somebody is signed in: the origin of this URL. Default: the present page's. The
   * server takes none but those of the client and its own.
   */
  returnTo?: string | undefined
  /** A client of browsers that operators registered, as in `createClient`. Default: `web`. */
  clientId?: string | undefined
  /** Languages in order of preference, separated by spaces, such as `de en`. Default: the browser's. */
  uiLocales?: string | undefined
  /** Default: the visitor's. */
  theme?: 'light' | 'dark' | undefined
}

/**
 * The address of one of the issuer's own pages.
 * @throws TypeError if `returnTo` is no URL; Error if the client has `dpop` and `ready` has not found its key.
 */
type PageUrl = (auth: Issuer, options?: PageOptions) => string

type Issuer = Pick<Client, 'issuer'> & Partial<Pick<Client, 'dpop'>>

function pageUrl(path: string, { issuer, dpop }: Issuer, options: PageOptions = {}): string {
  const { returnTo = platform.origin, clientId, uiLocales, theme } = options
  // The origin of a page in a sandbox is `null`, and that of `javascript:` and the like: there is nowhere to lead back to.
  const site = !returnTo || returnTo === 'null' ? 'null' : new URL(returnTo, platform.origin).origin
  const url = new URL(path, issuer)
  if (site !== 'null') url.searchParams.set('return_to', site)
  if (clientId) url.searchParams.set('client_id', clientId)
  if (uiLocales) url.searchParams.set('ui_locales', uiLocales)
  // A page that is not told of the key would begin a session without one.
  if (dpop === null) throw new Error('The key for DPoP is not there yet: await `ready` first')
  if (dpop) url.searchParams.set('dpop_jkt', dpop.jkt)
  if (theme) url.searchParams.set('theme', theme)
  return url.href
}

/** Where people sign in. They come back to `…/#signed-in`, where the client that is created finds their session. */
export const signInUrl: PageUrl = (...args) => pageUrl('/account/sign-in', ...args)
/** Where people make an account. They come back signed in, unless they have to prove the address first. */
export const registerUrl: PageUrl = (...args) => pageUrl('/account/register', ...args)
/** Where people who have forgotten their password ask for a mail. */
export const forgotUrl: PageUrl = (...args) => pageUrl('/account/forgot', ...args)
/** Where people change their password and address, and see and end their sessions. */
export const accountUrl: PageUrl = (...args) => pageUrl('/account', ...args)
