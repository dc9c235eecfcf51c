import { read } from '../support/pages.ts'

/** The files of docs/gateways.md: each heading that is a path, with the block below it. */
export const page: ReadonlyMap<string, string> = new Map(
  [...read('docs/gateways.md').matchAll(/^### (\S+\.\S+|\S*\/\S+)\n\n```\w+\n([\s\S]*?)^```$/gm)].map(
    ([, path = '', text = '']) => [path, text],
  ),
)

/** A file of the page with what an operator fills in. @throws Error if that is not in the file. */
export function fillIn(path: string, values: Record<string, string>): string {
  let text = page.get(path)
  if (text === undefined) throw new Error(`docs/gateways.md has no ${path}`)
  for (const [from, to] of Object.entries(values)) {
    if (!text.includes(from)) throw new Error(`${path} does not say ${from}`)
    text = text.replaceAll(from, to)
  }
  return text
}
