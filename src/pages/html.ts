/** Markup that may be sent as it is. Only `html` and `trusted` make it. */
export class Html {
  readonly #text: string
  constructor(text: string) {
    this.#text = text
  }
  toString(): string {
    return this.#text
  }
}

type Value = Html | string | number | undefined | readonly Html[]

/** A template whose values are escaped, unless they are markup themselves. Attributes that hold a value must be quoted. */
export function html(parts: TemplateStringsArray, ...values: Value[]): Html {
  let text = parts[0] ?? ''
  for (const [index, value] of values.entries()) {
    // In an attribute without quotation marks, a space in the value would begin another attribute.
    if (!(value instanceof Html || Array.isArray(value)) && isUnquoted(text))
      throw new Error(`a value is not quoted: ${text.slice(-40)}`)
    text += markup(value) + parts[index + 1]
  }
  return new Html(text)
}

/** Whether what comes next stands in a tag, or behind an equals sign, and not in quotation marks. */
function isUnquoted(text: string): boolean {
  // A pattern with `$` would begin anew at each character. Visitors choose how long values are, and a single long one would
  // hold up all other requests.
  const at = Math.max(text.lastIndexOf('<'), text.lastIndexOf('>'))
  const rest = text.slice(at + 1)
  if (text[at] === '>' || rest.split('"').length % 2 === 0) return false
  return text[at] === '<' || rest.trimEnd().endsWith('=')
}

/** For constants of ours. Whatever else is handed to it could be an attack: look at every use. */
export function trusted(text: string): Html {
  return new Html(text)
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

function markup(value: Value): string {
  if (value instanceof Html) return value.toString()
  if (Array.isArray(value)) return value.map(markup).join('')
  return String(value ?? '').replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '')
}
