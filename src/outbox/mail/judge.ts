import type { Template } from './mail.ts'
import { LINKS, PLACEHOLDERS } from './placeholders.ts'

/** The words of a mail, before the placeholders are filled. A line of the file is a line of the mail. */
export interface Wording {
  subject: string
  lines: readonly string[]
}

/** `{{name}}`. */
export const PLACEHOLDER = /\{\{([a-z_]+)\}\}/g
/** What is between braces, or looks as if it was meant to be. */
const BRACES = /\{\{[^{}\n]*\}\}|\{\{|\}\}/g

/** @param text not empty, with `\n` as the end of each line. */
export function judgeTemplate(template: Template, text: string): { value: Wording; faults: string[] } {
  const { must, may } = PLACEHOLDERS[template]
  const [first = '', second = '', ...body] = text.trimEnd().split('\n')
  const subject = /^Subject: +(\S.*)$/.exec(first)?.[1]?.trim() ?? ''
  const lines = body
    .join('\n')
    .trim()
    .split('\n')
    .map((line) => line.trimEnd())
  const faults: string[] = []
  if (subject === '') faults.push('must begin with a line such as "Subject: Reset your password"')
  if (second.trim() !== '') faults.push('must have an empty line after the subject')
  if (lines.join('') === '') faults.push('says nothing after the subject')
  if (/[\p{Cc}]/u.test(lines.join('') + subject)) faults.push('has control characters in it')
  faults.push(...strangers(subject, ['service']).map((name) => `${name} cannot stand in the subject`))
  faults.push(
    ...strangers(lines.join('\n'), ['service', ...must, ...may]).map((name) => unknown(name, [...must, ...may])),
  )
  for (const name of must) {
    if (!lines.some((line) => line.includes(`{{${name}}}`))) faults.push(`{{${name}}} is missing`)
  }
  for (const name of LINKS) {
    if (lines.some((line) => line.includes(`{{${name}}}`) && line !== `{{${name}}}`))
      faults.push(`{{${name}}} must stand on a line of its own`)
  }
  return { value: { subject, lines }, faults }
}

/** What the layout may say besides the body, which it must. */
const OF_LAYOUT = ['body', 'subject', 'locale', 'service']

export function judgeLayout(text: string): { value: string; faults: string[] } {
  const faults = strangers(text, OF_LAYOUT).map((name) => unknown(name, OF_LAYOUT))
  if (text !== '' && text.split('{{body}}').length !== 2) faults.push('must have {{body}} once')
  return { value: text, faults }
}

function strangers(text: string, known: readonly string[]): string[] {
  const found = text.match(BRACES) ?? []
  return [...new Set(found)].filter((braces) => !known.some((name) => braces === `{{${name}}}`))
}

function unknown(braces: string, known: readonly string[]): string {
  return `${braces} is no placeholder here; those are ${known.map((name) => `{{${name}}}`).join(', ')}`
}
