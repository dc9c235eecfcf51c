import { isIP } from 'node:net'
import type { Config } from '../../config/config.ts'
import type { Locale } from '../../languages.ts'
import { describeDevice } from './device.ts'
import { PLACEHOLDER } from './judge.ts'
import { linkTo, type Page } from './links.ts'
import type { Mail, Template } from './mail.ts'
import { LINKS, type Placeholder } from './placeholders.ts'
import type { Templates } from './templates.ts'
import { duration, moment } from './times.ts'

export interface Letter {
  subject: string
  text: string
  html: string
}

/** Who writes, and where links lead. */
type Addressed = Pick<Config, 'ISSUER' | 'APP_URL' | 'BRAND_NAME'>

type Values = Partial<Record<Placeholder, string>>

const PAGES: Partial<Record<Template, Page>> = {
  'verify-email': 'verify',
  'reset-password': 'reset',
  'change-email': 'email',
  invitation: 'invitation',
  'email-changed': 'undo',
}

/**
 * Puts a mail into words. The same mail gives the same words at every attempt to deliver it.
 * @param enqueuedAt from when on the link is good.
 */
export function render(
  mail: Mail,
  { config, templates, enqueuedAt }: { config: Addressed; templates: Templates; enqueuedAt: Date },
): Letter {
  const values = valuesOf(mail, config, enqueuedAt)
  const wording = templates.wording(mail.template, mail.locale)
  const subject = fill(wording.subject, values) ?? ''
  const paragraphs = paragraphsOf(wording.lines, values)
  const body = paragraphs.map((lines) => `<p>${lines.map((line) => lineOfHtml(line, values)).join('<br>\n')}</p>`)
  const ofLayout = { subject, locale: mail.locale, service: values.service }
  return {
    subject,
    text: `${paragraphs.map((lines) => lines.map((line) => fill(line, values)).join('\n')).join('\n\n')}\n`,
    html: templates.layout.replace(PLACEHOLDER, (_, name: string) =>
      name === 'body' ? body.join('\n') : escape(ofLayout[name as keyof typeof ofLayout] ?? ''),
    ),
  }
}

/** What a mail proves its reader's mailbox with, if it does. */
export function proofOf(mail: Mail, config: Pick<Config, 'ISSUER' | 'APP_URL'>): { link?: string; code?: string } {
  const page = PAGES[mail.template]
  return {
    ...(page !== undefined && 'token' in mail ? { link: linkTo(config, page, mail.token) } : {}),
    ...('code' in mail ? { code: mail.code.replace(/^(\d{4})(\d{4})$/, '$1 $2') } : {}),
  }
}

function valuesOf(mail: Mail, config: Addressed, enqueuedAt: Date): Values {
  const values: Values = {
    service: config.BRAND_NAME,
    sign_in: linkTo(config, 'sign-in'),
    forgot: linkTo(config, 'forgot'),
  }
  Object.assign(values, proofOf(mail, config))
  if ('expiresAt' in mail) {
    const expires = new Date(mail.expiresAt)
    values.expires = moment(expires, mail.locale)
    values.lifetime = duration(expires.getTime() - enqueuedAt.getTime(), mail.locale)
  }
  if ('newEmail' in mail) values.new_email = hint(mail.newEmail)
  if ('asked' in mail) Object.assign(values, factsOf(mail.asked, mail.locale))
  return values
}

function factsOf({ at, address, userAgent }: Extract<Mail, { asked: unknown }>['asked'], locale: Locale): Values {
  const device = describeDevice(userAgent)
  return {
    time: moment(new Date(at), locale),
    // An address with a zone, fe80::1%eth0, names an interface of ours.
    ...(address !== null && isIP(address) > 0 && !address.includes('%') ? { address } : {}),
    ...(device === null ? {} : { device }),
  }
}

/**
 * An address that somebody typed: its owner recognises it, and nobody can write a message into it. The spaces keep mail
 * programs from making a link of it.
 */
function hint(email: string): string {
  const [local = '', domain = ''] = email.split('@')
  const start = /^[a-z0-9]/.exec(local)?.[0] ?? ''
  const end = domain.replace(/[^a-z0-9.-]/g, '').slice(-60)
  return `${start}… @ ${end.split('.').join(' . ')}`
}

/** Blank lines part paragraphs. Lines without a value for their placeholder are left out, and paragraphs without lines. */
function paragraphsOf(lines: readonly string[], values: Values): string[][] {
  const paragraphs: string[][] = [[]]
  for (const line of lines) {
    if (line === '') paragraphs.push([])
    else if (fill(line, values) !== undefined) paragraphs.at(-1)?.push(line)
  }
  return paragraphs.filter((paragraph) => paragraph.length > 0)
}

/** Fills all placeholders in one pass, so that no value is read as a template. Undefined if one has no value. */
function fill(line: string, values: Values, quote = (value: string) => value): string | undefined {
  const names = [...line.matchAll(PLACEHOLDER)].map(([, name]) => name as Placeholder)
  if (names.some((name) => values[name] === undefined)) return undefined
  return line.replace(PLACEHOLDER, (_, name: Placeholder) => quote(values[name] ?? ''))
}

function lineOfHtml(line: string, values: Values): string {
  const link = LINKS.find((name) => line === `{{${name}}}`)
  const filled = fill(escape(line), values, escape) ?? ''
  if (link !== undefined) return `<a href="${filled}">${filled}</a>`
  return line === '{{code}}' ? `<strong class="code">${filled}</strong>` : filled
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}
