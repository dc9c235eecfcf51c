import type { Locale } from '../../../src/languages.ts'
import type { Asked, Mail, Template } from '../../../src/outbox/mail/mail.ts'
import { PLACEHOLDERS } from '../../../src/outbox/mail/placeholders.ts'

export const TEMPLATES = Object.keys(PLACEHOLDERS) as Template[]
export const ENQUEUED_AT = new Date('2026-11-27T14:13:05Z')
export const TOKEN = 'Zb2w-0123456789abcdefghijklmnopqrstuvwxyz_AB'
export const ASKED: Asked = {
  at: ENQUEUED_AT.toISOString(),
  address: '2001:db8::7',
  userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0',
}

const MINUTES: Partial<Record<Template, number>> = {
  'verify-email': 24 * 60,
  'reset-password': 30,
  'change-email': 60,
  'email-changed': 7 * 24 * 60,
  invitation: 7 * 24 * 60,
}

/** A mail of a template, as whoever enqueues it would make it. */
export function mailOf(
  template: Template,
  locale: Locale,
  asked: Asked = ASKED,
  newEmail = 'anna.new@example.org',
): Mail {
  const expiresAt = new Date(ENQUEUED_AT.getTime() + (MINUTES[template] ?? 0) * 60_000).toISOString()
  const everything = { to: 'anna@example.com', locale, token: TOKEN, code: '12345678', expiresAt, newEmail, asked }
  const withToken = {
    'email-changed': ['token', 'newEmail', 'expiresAt', 'asked'],
    invitation: ['token', 'code', 'expiresAt'],
  }
  const needed =
    withToken[template as keyof typeof withToken] ??
    (MINUTES[template] === undefined ? ['newEmail', 'asked'] : ['token', 'code', 'expiresAt', 'asked'])
  const facts = Object.entries(everything).filter(([name]) => ['to', 'locale', ...needed].includes(name))
  return { template, ...Object.fromEntries(facts) } as Mail
}
