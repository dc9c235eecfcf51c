import { Problem } from './errors.ts'

const MAX_DEPTH = 5
/**
 * Fatal: ill-formed UTF-8 must not become U+FFFD, or different passwords would verify as one. Keeps a BOM: JSON has
 * none.
 */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** Names through which code that copies objects carelessly reaches `Object.prototype`. */
const FORBIDDEN_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * Parses JSON that every parser reads alike: well-formed text, shallow, each member named once.
 * @throws Problem `invalid_request`; nothing of the input is repeated.
 */
export function parseJson(bytes: Uint8Array): unknown {
  let text: string
  let value: unknown
  try {
    text = utf8.decode(bytes)
    value = JSON.parse(text)
  } catch {
    refuse('The body is not valid JSON in UTF-8.')
  }
  checkTokens(text)
  return value
}

/** The same for an object. @throws Problem `invalid_request` for any other value too. */
export function parseObject(bytes: Uint8Array): Record<string, unknown> {
  const value = parseJson(bytes)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse('The JSON is no object.')
  return value as Record<string, unknown>
}

/** In valid JSON, matches each string, with the colon behind it if it names a member, and each bracket. */
const TOKEN = /("[^"\\]*(?:\\.[^"\\]*)*")([ \t\r\n]*:)?|[{}[\]]/g

function checkTokens(text: string): void {
  /** The objects and arrays that are open: of an object its names so far, of an array undefined. */
  const open: (Set<string> | undefined)[] = []
  for (const [token, string, colon] of text.matchAll(TOKEN)) {
    if (string === undefined) {
      if (token === '{' || token === '[') open.push(token === '{' ? new Set() : undefined)
      else open.pop()
      if (open.length > MAX_DEPTH) refuse('The body is nested too deeply.')
      continue
    }
    // Escapes are decoded, so that two spellings of one name are recognised as the same.
    const content = string.includes('\\') ? (JSON.parse(string) as string) : string.slice(1, -1)
    // A lone surrogate has no UTF-8 form; PostgreSQL stores no U+0000.
    if (!content.isWellFormed() || content.includes('\0')) refuse('Text must be well-formed Unicode without U+0000.')
    if (colon === undefined) continue
    if (FORBIDDEN_NAMES.has(content)) refuse('A member has a name that is not allowed.')
    const names = open.at(-1)
    if (names?.has(content)) refuse('A member is named twice.')
    names?.add(content)
  }
}

function refuse(detail: string): never {
  throw new Problem('invalid_request', { detail })
}
