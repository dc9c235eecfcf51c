import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { PLACEHOLDERS } from '../../../src/outbox/mail/placeholders.ts'
import { render } from '../../../src/outbox/mail/render.ts'
import { CAUSES } from '../../../src/outbox/mail/smtp-failure.ts'
import { loadTemplates, TemplateError } from '../../../src/outbox/mail/templates.ts'
import { read } from '../../support/pages.ts'
import { ENQUEUED_AT, mailOf } from './mails.ts'

const config = { ISSUER: 'https://auth.example.com', APP_URL: undefined, BRAND_NAME: 'Müller & Söhne' }

/** A folder as an operator would make it. */
function folderOf(files: Record<string, string | Uint8Array>): string {
  const folder = mkdtempSync(join(tmpdir(), 'mail-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  return folder
}

function faultsOf(files: Record<string, string | Uint8Array>): readonly string[] {
  try {
    loadTemplates(folderOf(files))
    return []
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error
    return error.faults
  }
}

const RESET = 'Subject: New password\n\nHere:\n\n{{link}}\n\n{{code}}\n'

test('a file of the operator replaces ours, and nothing else', () => {
  const templates = loadTemplates(folderOf({ 'de/reset-password.txt': `\ufeff${RESET}`.replaceAll('\n', '\r\n') }))
  const letter = (locale: 'de' | 'en') =>
    render(mailOf('reset-password', locale), { config, templates, enqueuedAt: ENQUEUED_AT })
  expect(letter('de').subject).toBe('New password')
  expect(letter('de').text).toMatch(/^Here:\n\nhttps:\/\/auth\.example\.com\/account\/reset#token=\S+\n\n1234 5678\n$/)
  expect(letter('en').subject).toBe('Reset your password for Müller & Söhne')
})

test('so does their layout', () => {
  const templates = loadTemplates(folderOf({ 'layout.html': '<i>{{subject}}</i><b lang={{locale}}>{{body}}</b>' }))
  const { html } = render(mailOf('invitation', 'ru'), { config, templates, enqueuedAt: ENQUEUED_AT })
  expect(html).toMatch(/^<i>Приглашение в Müller &amp; Söhne<\/i><b lang=ru><p>.*<\/p><\/b>$/s)
})

test('text with the signs of HTML is text in both forms', () => {
  const wording = RESET.replace('Here:', 'Tom & <b>Ann</b>: "{{service}}"').replace('New', '<i>New</i>')
  const templates = loadTemplates(folderOf({ 'en/reset-password.txt': wording }))
  const { subject, text, html } = render(mailOf('reset-password', 'en'), { config, templates, enqueuedAt: ENQUEUED_AT })
  expect(subject).toBe('<i>New</i> password')
  expect(text).toContain('Tom & <b>Ann</b>: "Müller & Söhne"')
  expect(html).toContain('<p>Tom &amp; &lt;b&gt;Ann&lt;/b&gt;: &quot;Müller &amp; Söhne&quot;</p>')
  expect(html).toContain('<title>&lt;i&gt;New&lt;/i&gt; password</title>')
})

test('files that a mounted volume or an editor hides are not meant', () => {
  const folder = folderOf({ '..data/de/reset-password.txt': '', '.DS_Store': '' })
  mkdirSync(join(folder, 'de'))
  writeFileSync(join(folder, 'elsewhere'), RESET)
  symlinkSync(join(folder, 'elsewhere'), join(folder, 'de/reset-password.txt'))
  expect(() => loadTemplates(folder)).toThrow(/^elsewhere: replaces no template; see the names in docs\/operations.md$/)
})

describe('a wrong file stops the start by its name', () => {
  test.each<[string, string, string | Uint8Array, string]>([
    ['a name with a slip', 'en/reset-pasword.txt', RESET, 'replaces no template'],
    ['a language that is not there', 'fr/reset-password.txt', RESET, 'replaces no template'],
    [
      'an unknown placeholder',
      'en/reset-password.txt',
      `${RESET}{{lnik}}`,
      '{{lnik}} is no placeholder here; those are {{link}}, {{code}}',
    ],
    [
      'one of another template',
      'en/reset-password.txt',
      `${RESET}{{new_email}}`,
      '{{new_email}} is no placeholder here',
    ],
    ['one with spaces', 'en/reset-password.txt', `${RESET}{{ time }}`, '{{ time }} is no placeholder here'],
    ['an open brace', 'en/reset-password.txt', `${RESET}{{time`, '{{ is no placeholder here'],
    ['no link', 'en/reset-password.txt', RESET.replace('{{link}}', ''), '{{link}} is missing'],
    ['no code', 'en/reset-password.txt', RESET.replace('{{code}}', ''), '{{code}} is missing'],
    [
      'a link in a sentence',
      'en/reset-password.txt',
      RESET.replace('{{link}}', 'Go to {{link}}.'),
      '{{link}} must stand on a line of its own',
    ],
    [
      'no subject',
      'en/reset-password.txt',
      RESET.replace('Subject: New password\n', ''),
      'must begin with a line such as',
    ],
    ['an empty subject', 'en/reset-password.txt', RESET.replace('New password', ''), 'must begin with a line such as'],
    [
      'a code in the subject',
      'en/reset-password.txt',
      RESET.replace('New', '{{code}}'),
      '{{code}} cannot stand in the subject',
    ],
    [
      'no empty line',
      'en/reset-password.txt',
      RESET.replace('\n\n', '\n'),
      'must have an empty line after the subject',
    ],
    ['a subject alone', 'en/new-device.txt', 'Subject: Hello\n', 'says nothing after the subject'],
    ['nothing', 'en/reset-password.txt', ' \n', 'is empty'],
    [
      'another encoding',
      'de/reset-password.txt',
      Buffer.from(RESET.replace('Here', 'Gerät'), 'latin1'),
      'is not in UTF-8',
    ],
    ['control characters', 'en/reset-password.txt', `${RESET}\u0007`, 'has control characters in it'],
    ['too much', 'en/reset-password.txt', RESET + 'x'.repeat(70_000), 'is longer than 65536 bytes'],
    ['a layout without a body', 'layout.html', '<p>{{subject}}</p>', 'must have {{body}} once'],
    ['a layout with two', 'layout.html', '{{body}}{{body}}', 'must have {{body}} once'],
    ['a layout with a link', 'layout.html', '{{body}}{{link}}', '{{link}} is no placeholder here; those are {{body}}'],
  ])('%s', (_, name, content, fault) => {
    expect(faultsOf({ [name]: content })).toContainEqual(expect.stringContaining(`${name}: ${fault}`))
  })

  test('all of them at once', () => {
    const files = { 'en/invitation.txt': '', 'de/invitation.txt': 'Subject: x\n\ny', 'ru/x.txt': '' }
    const names = faultsOf(files).map((fault) => fault.split(':')[0])
    expect(new Set(names)).toEqual(new Set(Object.keys(files)))
  })

  test('a folder that is not there', () => {
    expect(() => loadTemplates('/nowhere/at/all')).toThrow('the folder cannot be read (ENOENT)')
  })
})

describe('what operators read of it', () => {
  const [, section = ''] = /^## Mail$([^]*?)^## /m.exec(read('docs/operations.md')) ?? []

  test('has an example that is one', () => {
    const [, example = ''] = /^```\n(Subject: [^]*?)^```$/m.exec(section) ?? []
    expect(example).toContain('{{link}}')
    expect(faultsOf({ 'en/reset-password.txt': example })).toEqual([])
  })

  test('names every mail, placeholder and cause of a failure', () => {
    const placeholders = Object.values(PLACEHOLDERS).flatMap(({ must, may }) => [...must, ...may])
    for (const name of placeholders) expect(section).toContain(`\`{{${name}}}\``)
    for (const name of Object.keys(PLACEHOLDERS)) expect(section).toContain(`\`${name}\``)
    for (const cause of CAUSES)
      expect(read('docs/operations.md')).toMatch(new RegExp(`claviger_mail_failures_total.*\`${cause}\``))
  })
})
