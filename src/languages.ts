/** The languages that people are written to in. The first is for those who ask for none of them. */
export const LOCALES = ['en', 'de', 'ru'] as const
export type Locale = (typeof LOCALES)[number]

/** Lists are cut here: nobody speaks more languages, and a header of many kilobytes costs nobody's time but its sender's. */
const MOST_ITEMS = 20
const MOST_CHARACTERS = 500

/**
 * The language that somebody gets: of `ui_locales` (OpenID Connect Core §3.1.2.1: in order of preference, separated by
 * spaces) the first that we have, else the one that `Accept-Language` (RFC 9110 §12.5.4) weighs most.
 */
export function negotiate(uiLocales: string | undefined, acceptLanguage: string | undefined): Locale {
  const stated = itemsOf(uiLocales, /\s+/).map(localeOf)
  const accepted = itemsOf(acceptLanguage, ',')
    .map(weigh)
    .filter(({ weight }) => weight > 0)
    .toSorted((a, b) => b.weight - a.weight)
    .map(({ tag }) => localeOf(tag))
  return [...stated, ...accepted].find((locale) => locale !== undefined) ?? LOCALES[0]
}

function itemsOf(text: string | undefined, separator: RegExp | string): string[] {
  return (text ?? '').slice(0, MOST_CHARACTERS).split(separator, MOST_ITEMS)
}

function weigh(item: string): { tag: string; weight: number } {
  const [tag = '', ...parameters] = item.split(';').map((part) => part.trim())
  const stated = parameters.find((parameter) => /^q=/i.test(parameter))?.slice(2)
  const weight = stated === undefined ? 1 : /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(stated) ? Number(stated) : 0
  return { tag, weight }
}

/** `de-AT` is served by `de`; the script and the region change nothing that we have. */
function localeOf(tag: string): Locale | undefined {
  const [language] = tag.trim().toLowerCase().split('-')
  return LOCALES.find((locale) => locale === language)
}
