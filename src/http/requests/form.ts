import { Problem } from '../../errors.ts'

/** Fatal: ill-formed UTF-8 must not become U+FFFD, or different passwords would verify as one. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Parses a form as browsers send it (URL standard, application/x-www-form-urlencoded). Parsers of the platform replace
 * what is ill-formed and keep repeated names, of which two readers may take different ones, so both are refused here.
 * @throws Problem `invalid_request`; nothing of the input is repeated.
 */
export function parseForm(bytes: Uint8Array): Record<string, string> {
  return Object.fromEntries(
    fieldsOf(bytes, (pair) => {
      const mark = pair.indexOf('=')
      if (mark === -1) refuse('The body is not a form: each field is name=value.')
      return [decode(pair.slice(0, mark)), decode(pair.slice(mark + 1))]
    }),
  )
}

/**
 * Parses the parameters of an OAuth request (RFC 6749 §3.2, appendix B). Programs send them, so characters that a
 * browser would have encoded are taken as they are: `curl -d` encodes nothing. A parameter without a value is treated as
 * if it were omitted.
 * @throws Problem `invalid_request`; nothing of the input is repeated.
 */
export function parseParameters(bytes: Uint8Array): Record<string, string> {
  const fields = fieldsOf(bytes, (pair) => {
    if (pair === '') return undefined
    const [name = '', ...value] = pair.split('=')
    return [decode(name, LENIENT), decode(value.join('='), LENIENT)]
  })
  return Object.fromEntries([...fields].filter(([, value]) => value !== ''))
}

type Field = [name: string, value: string]

function fieldsOf(bytes: Uint8Array, read: (pair: string) => Field | undefined): Map<string, string> {
  const fields = new Map<string, string>()
  for (const pair of Buffer.from(bytes).toString('latin1').split('&')) {
    const field = read(pair)
    if (field && fields.has(field[0])) refuse('A field is named twice.')
    if (field) fields.set(...field)
  }
  return fields
}

/** Browsers leave nothing unescaped but these; whatever else is here comes from something that is no form. */
const STRICT = /^(?:[\w.*+-]|%[\da-f]{2})*$/i
const LENIENT = /^(?:[^%]|%[\da-f]{2})*$/i

function decode(text: string, form = STRICT): string {
  if (!form.test(text)) refuse('A field is not encoded as forms are.')
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
