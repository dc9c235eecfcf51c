import type { Config } from '../config/config.ts'
import type { Origins } from '../config/origins.ts'
import { Problem } from '../errors.ts'
import { type Locale, negotiate } from '../languages.ts'
import { isThumbprint } from '../proven-key.ts'
import { de } from './words/de.ts'
import { en, type Words } from './words/en.ts'
import { ru } from './words/ru.ts'

const WORDS: Record<Locale, Words> = { en, de, ru }

/** What somebody may add to the address of any page. */
export interface Wishes {
  /** In order of preference, separated by spaces (OpenID Connect Core §3.1.2.1). */
  ui_locales?: string
  theme?: string
  /** Where to go once signed in: an origin of the client. */
  return_to?: string
  /** A browser client other than `web`, whose session and cookie the page is about. */
  client_id?: string
  /** Thumbprint of the key that the session is to be bound to (RFC 9449 §10). */
  dpop_jkt?: string
}

/** How a page looks for a particular visitor. */
export interface View {
  config: Config
  /** Of the page, without the query. */
  path: string
  words: Words
  locale: Locale
  /** Undefined: as the visitor's system has it. */
  theme: 'light' | 'dark' | undefined
  returnTo: string | undefined
  /** Sent along with every link and form, so that the wishes last. */
  wishes: Readonly<Wishes>
}

export function createView(
  config: Config,
  { path, wishes, acceptLanguage }: { path: string; wishes: Wishes; acceptLanguage: string | undefined },
): View {
  const locale = negotiate(wishes.ui_locales, acceptLanguage)
  const theme = wishes.theme === 'light' || wishes.theme === 'dark' ? wishes.theme : undefined
  return { config, path, words: WORDS[locale], locale, theme, returnTo: wishes.return_to, wishes }
}

/**
 * Compares the whole text with the origins of the client, as browsers send them. Anything looser, such as comparing the
 * beginning or what a URL parser makes of it, would let an attacker's link end on a page of the attacker's.
 * @throws Problem `invalid_request`.
 */
export function checkReturnTo(returnTo: string | undefined, origins: Origins): void {
  if (returnTo === undefined || origins.has(returnTo)) return
  throw new Problem('invalid_request', { reason: 'return_to is no origin of the client' })
}

/** @throws Problem `invalid_request` for what is no SHA-256 thumbprint (RFC 7638). */
export function checkThumbprint(jkt: string | undefined): void {
  if (jkt === undefined || isThumbprint(jkt)) return
  throw new Problem('invalid_request', { reason: 'dpop_jkt is missing or malformed' })
}

/** The address of a page for the same visitor. @param other wishes that replace theirs. */
export function linkTo({ wishes }: View, path: string, other: Wishes = {}): string {
  const query = new URLSearchParams({ ...wishes, ...other }).toString()
  return query === '' ? path : `${path}?${query}`
}
