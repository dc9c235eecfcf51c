/** Text that is HTML already. Only this module creates it. */
export interface Html {
  readonly text: string
}

type Part = Html | string | number

/** Escapes every value in the template, except those that are `Html` already. */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  return { text: strings.reduce((text, string, index) => text + asText(parts[index - 1]) + string) }
}

export function join(parts: Html[]): Html {
  return { text: parts.map((part) => part.text).join('') }
}

/** Prose in which `backquotes` mark code. */
export function words(text: string): Html {
  return { text: escapeText(text).replace(/`([^`]+)`/g, '<code>$1</code>') }
}

export function code(text: string): Html {
  return { text: escapeText(text) }
}

export const escape = {
  /** For constants of this program: style sheets and drawings. */
  none: (text: string): Html => ({ text }),
}

function asText(part: Part | undefined): string {
  if (part === undefined) return ''
  return typeof part === 'object' ? part.text : escapeText(String(part))
}

function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}
