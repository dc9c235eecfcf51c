import { Problem } from '../../errors.ts'

/** Fatal: ill-formed UTF-8 must not become U+FFFD, or different passwords would verify as one. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Parses a form as browsers send it (URL standard, application/x-www-form-urlencoded). Parsers of the platform replace
 * what is ill-formed and keep repeated names, of which two readers may take different ones, so both are refused here.
 * @throws Problem `invalid_request`; nothing of the input is repeated.
 */
export function parseForm(bytes: Uint8Array): Record<string, string> {
  const pairs = new Map<string, string>()
  for (const pair of Buffer.from(bytes).toString('latin1').split('&')) {
    const mark = pair.indexOf('=')
    if (mark === -1) refuse('The body is not a form: each field is name=value.')
    const name = decode(pair.slice(0, mark))
    if (pairs.has(name)) refuse('A field is named twice.')
    pairs.set(name, decode(pair.slice(mark + 1)))
  }
  return Object.fromEntries(pairs)
}

function decode(text: string): string {
  // Browsers leave nothing unescaped but these; whatever else is here comes from something that is no form.
  if (!/^(?:[\w.*+-]|%[\da-f]{2})*$/i.test(text)) refuse('A field is not encoded as forms are.')
  const bytes = text.replace(/\+/g, ' ').replace(/%(..)/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
  let value: string
  try {
    value = utf8.decode(Buffer.from(bytes, 'latin1'))
  } catch {
    refuse('Text must be well-formed UTF-8.')
  }
  if (value.includes('\0')) refuse('Text must be well-formed Unicode without U+0000.')
  return value
}

function refuse(detail: string): never {
  throw new Problem('invalid_request', { detail })
}
