import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LOCALES } from '../../../src/languages.ts'
import { linkTo } from '../../../src/outbox/mail/links.ts'
import { PLACEHOLDERS } from '../../../src/outbox/mail/placeholders.ts'
import { render } from '../../../src/outbox/mail/render.ts'
import { loadTemplates } from '../../../src/outbox/mail/templates.ts'
import { ASKED, ENQUEUED_AT, mailOf, TEMPLATES, TOKEN } from './mails.ts'

const templates = loadTemplates()
const config = { ISSUER: 'https://auth.example.com', APP_URL: undefined, BRAND_NAME: 'Müller & Söhne' }
const letterOf = (mail: ReturnType<typeof mailOf>) => render(mail, { config, templates, enqueuedAt: ENQUEUED_AT })
const everyMail = LOCALES.flatMap((locale) => TEMPLATES.map((template) => ({ locale, template })))

const PATHS = {
  'verify-email': 'verify',
  'reset-password': 'reset',
  'change-email': 'email',
  invitation: 'invitation',
  'email-changed': 'undo',
} as const

/** What a mail program shows of HTML. */
const visible = (html: string): string =>
  html
    .replace(/<head>.*<\/head>/s, '')
    .replace(/<[^>]*>/g, '')
    .replaceAll('&#39;', "'")
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')

const words = (text: string): string => text.replace(/\s+/g, ' ').trim()

describe.each(everyMail)('$template in $locale', ({ template, locale }) => {
  const mail = mailOf(template, locale)
  const { subject, text, html } = letterOf(mail)

  test('has its link and its code, each on a line of its own', () => {
    const lines = text.split('\n')
    const links = lines.filter((line) => line.startsWith('https://'))
    const page = PATHS[template as keyof typeof PATHS]
    if (page !== undefined) expect(links).toContain(`https://auth.example.com/account/${page}#token=${TOKEN}`)
    expect(links.filter((link) => link.includes(TOKEN))).toHaveLength('token' in mail ? 1 : 0)
    for (const link of links.filter((link) => !link.includes(TOKEN)))
      expect(link).toMatch(/^https:\/\/auth\.example\.com\/account\/(forgot|sign-in)$/)
    expect(lines.filter((line) => line === '1234 5678')).toHaveLength('code' in mail ? 1 : 0)
    expect([...html.matchAll(/href="([^"]*)"/g)].map(([, href]) => href)).toEqual(links)
  })

  test('says the same in both of its forms, with every placeholder filled', () => {
    expect(words(visible(html))).toBe(words(text))
    expect(`${subject}${text}${html}`).not.toMatch(/[{}]{2}|undefined|null|Invalid/)
    expect(subject).toMatch(/^\S[^\n]{10,78}\S$/)
    expect(html).toContain(`<html lang="${locale}">`)
  })

  test('loads nothing from anywhere', () => {
    expect(html).not.toMatch(/<(img|link|script|iframe|object|embed|video|audio|form)\b|url\(|@import|src=/i)
  })

  test('says when, in UTC, and from where', () => {
    if (!('asked' in mail)) return expect(PLACEHOLDERS[template].may).not.toContain('time')
    const time = {
      en: '27 November 2026, 14:13 UTC',
      de: '27. November 2026, 14:13 UTC',
      ru: '27 ноября 2026 г., 14:13 UTC',
    }
    expect(text).toMatch(new RegExp(`^[^:\n]+: ${time[locale]}\n[^:\n]+: 2001:db8::7\n[^:\n]+: Firefox, Windows$`, 'm'))
  })
})

test.each([
  ['reset-password', 'en', 'for 30 minutes, until 27 November 2026, 14:43 UTC'],
  ['verify-email', 'en', 'for 24 hours, until 28 November 2026, 14:13 UTC'],
  ['change-email', 'en', 'for 60 minutes, until 27 November 2026, 15:13 UTC'],
  ['invitation', 'en', 'for 7 days, until 4 December 2026, 14:13 UTC'],
  ['invitation', 'de', 'gelten 7 Tage, bis 4. Dezember 2026, 14:13 UTC'],
  ['verify-email', 'ru', 'действуют 24 часа, до 28 ноября 2026 г., 14:13 UTC'],
  ['reset-password', 'ru', 'действуют 30 минут, до'],
  ['email-changed', 'ru', 'действует 7 дней, до'],
] as const)('%s in %s says how long it is good for', (template, locale, validity) => {
  expect(letterOf(mailOf(template, locale)).text).toContain(validity)
})

test('leaves out what is not known, and says nothing in its place', () => {
  const mail = mailOf('password-changed', 'en', { ...ASKED, address: null, userAgent: null })
  const { text } = letterOf(mail)
  expect(text).toMatch(/\n\nTime: 27 November 2026, 14:13 UTC\n$/)
})

test.each([
  [undefined, 'reset', 'a&b', 'https://auth.example.com/account/reset#token=a%26b'],
  [undefined, 'sign-in', undefined, 'https://auth.example.com/account/sign-in'],
  ['https://app.example/{page}#token={token}', 'verify', 'abc', 'https://app.example/verify#token=abc'],
  ['https://app.example/{page}#token={token}', 'forgot', undefined, 'https://app.example/forgot'],
  ['https://app.example/#/{page}?token={token}', 'forgot', undefined, 'https://app.example/#/forgot'],
  ['https://app.example/#{token}/{page}', 'reset', '$&', 'https://app.example/#%24%26/reset'],
] as const)('with APP_URL %s, the page %s and the token %s have the link %s', (APP_URL, page, token, link) => {
  expect(linkTo({ ...config, APP_URL }, page, token)).toBe(link)
})

describe('whatever a request says', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'http://evil.example/',
      'https://',
      '//evil.example',
      '\\\\evil.example\\share',
      'www.evil.com',
      'evil.com',
      'e.vil@evil.com',
      'mailto:a@evil.com',
      'tel:+4930123456',
      '+49 30 1234567',
      '\r\nBcc: eve@evil.com\r\n\r\n',
      '\u2028',
      '\u2029',
      '\u0085',
      '\u202e',
      '\u2066',
      '\u200b',
      '\u0000',
      '。com',
      'evil．com',
      '<a href="http://evil.com">',
      '"><script>alert(1)</script>',
      '&#x2e;',
      '{{link}}',
      '{{code}}',
      '$&',
      '$1',
      'Mozilla/5.0 ',
      'Firefox/',
      'Chrome/',
      ' (iPhone) ',
      '/',
      '.',
      ':',
      '@',
    ),
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.string({ maxLength: 12 }),
  )
  const anything = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''))
  const plain = everyMail.map(({ template, locale }) => {
    const { subject, text, html } = letterOf(mailOf(template, locale))
    return { template, locale, subject, lines: text.split('\n').length, tags: html.match(/<[^>]*>/g) }
  })

  test('makes no header, no link and no line of a mail', () => {
    fc.assert(
      fc.property(fc.constantFrom(...plain), anything, anything, anything, (expected, userAgent, address, newEmail) => {
        const mail = mailOf(expected.template, expected.locale, { ...ASKED, userAgent, address }, newEmail)
        const { subject, text, html } = letterOf(mail)
        expect(subject).toBe(expected.subject)
        const lines = text.split(/\r\n|[\n\r\v\f\u0085\u2028\u2029]/)
        expect(lines.length).toBeLessThanOrEqual(expected.lines)
        const ours =
          /^https:\/\/auth\.example\.com\/account\/[a-z-]+(#token=[\w-]+)?$|auth\.example\.com|\b\d\d:\d\d UTC/g
        const rest = lines.map((line) => line.replace(ours, '')).join('\n')
        expect(rest).not.toMatch(/:\/\/|\/\/|\\|\S@|@\S|[\p{L}\p{N}][.。．｡][\p{L}]|<|\{\{/u)
        // A domain may well have a number in it.
        expect(rest.replace(/^.*@.*$/m, '')).not.toMatch(/\d{5}/)
        expect(rest).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/u)
        const tags = html.match(/<[^>]*>/g) ?? []
        expect(tags.filter((tag) => !expected.tags?.includes(tag))).toEqual([])
        expect(words(visible(html))).toBe(words(text))
      }),
      { numRuns: 3000 },
    )
  })

  test('takes up little room', () => {
    const long = 'x'.repeat(100_000)
    const at = letterOf(mailOf('email-changed', 'en')).text.length
    const filled = letterOf(
      mailOf('email-changed', 'en', { ...ASKED, userAgent: `${long}/${long}`, address: long }, `${long}@${long}.com`),
    )
    expect(filled.text.length).toBeLessThan(at + 100)
  })
})
