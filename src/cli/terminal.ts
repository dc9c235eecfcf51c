import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { stripVTControlCharacters, styleText } from 'node:util'
import { EXIT, Failure } from './exit.ts'

/** The streams of the process, or of a test. */
export interface Io {
  stdin: NodeJS.ReadableStream & { isTTY?: boolean }
  stdout: NodeJS.WritableStream & { isTTY?: boolean; columns?: number }
  stderr: NodeJS.WritableStream & { isTTY?: boolean; columns?: number }
}

/** Colours a text if the output is a terminal that wants colour; otherwise returns it unchanged. */
export type Paint = (format: 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan', text: string) => string

/** Columns of a terminal; infinite if the output is not one, so that nothing is cut off for a pipe. */
export function widthOf({ isTTY, columns }: Io['stdout']): number {
  return isTTY ? (columns ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY
}

/** Uses colour only on a terminal, and not if NO_COLOR is set (no-color.org). */
export function painter(stream: Io['stdout'], env: NodeJS.ProcessEnv): Paint {
  const wanted = stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  return (format, text) => (wanted && text !== '' ? styleText(format, text, { validateStream: false }) : text)
}

/** Control characters, and characters that hide or reorder text. */
const DECEPTIVE = /[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/gu

/** Makes text from strangers, such as a User-Agent, safe to print: its escape sequences could control the terminal. */
export function printable(text: string): string {
  return text.replace(DECEPTIVE, '\ufffd')
}

/**
 * Columns two spaces apart under a dim heading. Lines are cut off at `width`.
 * @param below whether the last column stands below its line where it does not fit beside the others.
 */
export function table(
  headings: string[],
  rows: string[][],
  { paint, width, below = false }: { paint: Paint; width: number; below?: boolean },
): string {
  const widths = headings.map((heading, column) =>
    Math.max(...[[heading], ...rows].map((row, i) => length(i === 0 ? heading : (row[column] ?? '')))),
  )
  const line = (cells: string[]): string =>
    cut(
      cells.map((cell, column) => (column === cells.length - 1 ? cell : pad(cell, widths[column] ?? 0))).join('  '),
      width,
    )
  const dim = headings.map((heading) => paint('dim', heading))
  const room = width - widths.slice(0, -1).reduce((sum, each) => sum + each + 2, 0)
  if (!below || (widths.at(-1) ?? 0) <= room) return [line(dim), ...rows.map(line)].join('\n')
  const lines = rows.flatMap((row) => [line(row.slice(0, -1)), `  ${wrap(row.at(-1) ?? '', 2, width)}`])
  return [line(dim.slice(0, -1)), ...lines].join('\n')
}

/** `name  value` lines, aligned. */
export function pairs(entries: [string, string][], paint: Paint): string {
  const widest = Math.max(...entries.map(([name]) => name.length))
  return entries.map(([name, value]) => `${paint('dim', name.padEnd(widest))}  ${value}`).join('\n')
}

/** Breaks a text at spaces; every line but the first begins with `indent` spaces. */
export function wrap(text: string, indent: number, width: number): string {
  const room = Math.max(20, width - indent)
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && length(line) + 1 + length(word) > room) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`)
}

/** A name and what stands beside it, two spaces apart; or what a line is indented by. */
const BESIDE = /^ *(?:\S.*? {2,}(?:\p{Cc}\[[0-9;]*m *)*)?/u

/**
 * Breaks lines that do not fit at spaces, which a terminal would break in the middle of words. What does not fit stands below
 * where its text began.
 */
export function fit(text: string, width: number): string {
  const lines = text.split('\n').map((line) => {
    if (length(line) <= width) return line
    const [head] = BESIDE.exec(line) ?? ['']
    const beside = length(head) <= width / 2 ? head : ''
    return beside + wrap(line.slice(beside.length), length(beside), width)
  })
  return lines.join('\n')
}

function length(text: string): number {
  return stripVTControlCharacters(text).length
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - length(text)))
}

function cut(text: string, width: number): string {
  if (length(text) <= width) return text.trimEnd()
  let visible = 0
  let kept = ''
  // Colour sequences take no width and are kept, so that the last one still resets the colour.
  for (const piece of text.split(/(\p{Cc}\[[0-9;]*m)/u)) {
    if (piece.startsWith('\x1b')) kept += piece
    else {
      const room = Math.max(0, width - 1 - visible)
      kept += piece.length > room && visible <= width - 1 ? `${piece.slice(0, room)}…` : piece.slice(0, room)
      visible += piece.length
    }
  }
  return kept
}

/** Asks on standard error, so that standard output holds only the answer of the command. */
export async function confirm(io: Io, question: string): Promise<boolean> {
  const [answer = ''] = await ask(io, [`${question} [y/N] `], false)
  return /^y(es)?$/i.test(answer.trim())
}

/** Asks one question after the other. @param hidden whether to hide what is typed. */
export async function ask(io: Io, questions: string[], hidden: boolean): Promise<string[]> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const reader = createInterface({ input: io.stdin, output: hidden ? nowhere : io.stderr, terminal: true })
  const lines = reader[Symbol.asyncIterator]()
  try {
    const answers: string[] = []
    for (const question of questions) {
      if (hidden) io.stderr.write(question)
      else {
        // Set on the reader, which redraws the line when something is deleted.
        reader.setPrompt(question)
        reader.prompt()
      }
      const { value, done } = await lines.next()
      if (hidden) io.stderr.write('\n')
      // Ctrl-C and Ctrl-D close the reader.
      if (done) throw new Failure(EXIT.interrupted, 'interrupted; nothing was changed')
      answers.push(value)
    }
    return answers
  } finally {
    reader.close()
  }
}
