import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { LOCALES, type Locale } from '../../languages.ts'
import { judgeLayout, judgeTemplate, type Wording } from './judge.ts'
import type { Template } from './mail.ts'
import { PLACEHOLDERS } from './placeholders.ts'

export interface Templates {
  wording(template: Template, locale: Locale): Wording
  /** The HTML around every mail. */
  layout: string
}

/** All faults of the files, each with the name of its file. */
export class TemplateError extends Error {
  readonly faults: readonly string[]
  constructor(faults: readonly string[]) {
    super(faults.join('; '))
    this.name = 'TemplateError'
    this.faults = faults
  }
}

const OURS = join(import.meta.dirname, '../../../mail')
const LAYOUT = 'layout.html'
const LARGEST = 65_536

/**
 * Reads every template, so that a wrong one stops the start and not a mail.
 * @param folder files in it replace ours of the same name; those that are not there stay ours.
 * @throws TemplateError with every fault.
 */
export function loadTemplates(folder?: string): Templates {
  const faults: string[] = []
  const replaced = folder === undefined ? new Set<string>() : listFiles(folder, faults)
  const read = (name: string): string => {
    try {
      return readText(join(folder !== undefined && replaced.delete(name) ? folder : OURS, name))
    } catch (error) {
      faults.push(`${name}: ${(error as Error).message}`)
      return ''
    }
  }
  const judge = <T>(name: string, judged: { value: T; faults: string[] }): T => {
    faults.push(...judged.faults.map((fault) => `${name}: ${fault}`))
    return judged.value
  }

  const names = Object.keys(PLACEHOLDERS) as Template[]
  const wordings = new Map<string, Wording>()
  for (const locale of LOCALES) {
    for (const template of names) {
      const name = `${locale}/${template}.txt`
      const text = read(name)
      if (text !== '') wordings.set(name, judge(name, judgeTemplate(template, text)))
    }
  }
  const layout = judge(LAYOUT, judgeLayout(read(LAYOUT)))
  for (const name of replaced) faults.push(`${name}: replaces no template; see the names in docs/operations.md`)
  if (faults.length > 0) throw new TemplateError(faults)
  return {
    wording: (template, locale) => {
      const wording = wordings.get(`${locale}/${template}.txt`)
      if (!wording) throw new Error(`there is no template ${template} in ${locale}`)
      return wording
    },
    layout,
  }
}

/** Names of the files in a folder, with `/` between their parts. Editors' and mounted volumes' hidden files are not meant. */
function listFiles(folder: string, faults: string[]): Set<string> {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
    const names = entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(join(folder, '/').length).replaceAll('\\', '/'))
    return new Set(names.filter((name) => !/(^|\/)\./.test(name)))
  } catch (error) {
    faults.push(`the folder cannot be read (${(error as NodeJS.ErrnoException).code})`)
    return new Set()
  }
}

function readText(path: string): string {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    throw new Error(`cannot be read (${(error as NodeJS.ErrnoException).code})`, { cause: error })
  }
  if (bytes.length > LARGEST) throw new Error(`is longer than ${LARGEST} bytes`)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new Error('is not in UTF-8', { cause: error })
  }
  if (text.trim() === '') throw new Error('is empty')
  return text.replaceAll('\r\n', '\n')
}
