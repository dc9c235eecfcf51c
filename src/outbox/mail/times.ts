import { DAY, HOUR, MINUTE } from '../../durations.ts'
import type { Locale } from '../../languages.ts'

/** What `Intl` calls our languages: English as written outside of the United States, with hours up to 24. */
const TAG: Record<Locale, string> = { en: 'en-GB', de: 'de', ru: 'ru' }

/** "27 November 2026, 14:13 UTC": nobody's time zone is known, so the one that is meant is said. */
export function moment(at: Date, locale: Locale): string {
  const format = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(TAG[locale], { timeZone: 'UTC', ...options }).format(at)
  // Together, Intl would join them with a word that does not go with every preposition before it.
  return `${format({ dateStyle: 'long' })}, ${format({ hour: '2-digit', minute: '2-digit', timeZoneName: 'short' })}`
}

/** "30 minutes", "24 hours", "7 days": in the largest unit of which there are at least two. */
export function duration(ms: number, locale: Locale): string {
  const [unit, length] = ms >= 2 * DAY ? ['day', DAY] : ms >= 2 * HOUR ? ['hour', HOUR] : ['minute', MINUTE]
  const format = new Intl.NumberFormat(TAG[locale], { style: 'unit', unit, unitDisplay: 'long' })
  return format.format(Math.max(1, Math.round(ms / length)))
}
