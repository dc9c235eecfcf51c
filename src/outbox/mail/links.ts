import type { Config } from '../../config/config.ts'

/** The pages that mails and password managers lead to, by the last part of their path. */
export type Page = 'verify' | 'reset' | 'invitation' | 'email' | 'undo' | 'sign-in' | 'forgot' | 'password'

/** The place of the token with the name and the separator before it, and what follows: a page may be asked for without one. */
const NAMED_TOKEN = /[#?&]?[\w-]*=?\{token\}.*$/

/**
 * The address of a page, made of settings alone: a link that followed a request's `Host` would send the token to whoever
 * chose it. The token stands in the fragment, which browsers keep to themselves: no proxy or server log on the way has
 * it, and no `Referer`.
 */
export function linkTo(config: Pick<Config, 'ISSUER' | 'APP_URL'>, page: Page, token?: string): string {
  const pattern = config.APP_URL ?? `${config.ISSUER}/account/{page}#token={token}`
  const link = pattern.replaceAll('{page}', page)
  if (token !== undefined) return link.replaceAll('{token}', encodeURIComponent(token))
  return link.replace(NAMED_TOKEN, '')
}
