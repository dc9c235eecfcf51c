import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { CANARY_FOLDER } from '../canary.ts'

/*
 * Notes what the program sends to its database, for the inspection at the end of the run (run.ts): each statement once, with the
 * place in src/ that it comes from. start.ts begins with it, in every test process (vitest.config.ts) and in the servers that tests
 * start.
 */

export interface Sent {
  text: string
  /** `src/sessions/queries.ts:42` */
  from: string | undefined
}

export const STATEMENTS_FILE = 'statements'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const COLLECTED = Symbol.for('claviger.statements')

/** Arguments of Node for a process whose statements are to be noted. */
export function collecting(): string[] {
  const folder = process.env[CANARY_FOLDER]
  return folder ? ['--import', `${new URL('start.ts', import.meta.url).href}?folder=${encodeURIComponent(folder)}`] : []
}

/** Begins to note, once for a process. @param folder of the run. */
export function collect(folder: string): void {
  if (!(COLLECTED in pg.Client.prototype)) watch(join(folder, STATEMENTS_FILE))
}

function watch(file: string): void {
  const seen = new Set<string>()
  const see = (text: string): void => {
    if (seen.has(text)) return
    const from = origin()
    if (from?.startsWith('test/')) return
    seen.add(text)
    appendFileSync(file, `${JSON.stringify({ text, from } satisfies Sent)}\n`)
  }

  const { query } = pg.Client.prototype
  Object.assign(pg.Client.prototype, {
    [COLLECTED]: true,
    query(this: pg.Client & { connectionParameters: { application_name?: string } }, ...args: unknown[]) {
      const [first] = args as [string | { text?: unknown } | undefined]
      const text = typeof first === 'string' ? first : first?.text
      // Tests ask under other names. What migrates prepares the schema that statements are inspected by.
      const name = this.connectionParameters.application_name ?? ''
      if (typeof text === 'string' && name.startsWith('claviger') && name !== 'claviger migrate') see(text)
      return Reflect.apply(query, this, args) as unknown
    },
  })
}

/** All that is between a statement and its sender. */
const WAY = /^src\/db\/(begun-query|built-once|client|connect|connections|lend)\.ts/

/** @returns the file and line in src/ or test/ that sends the statement under way. */
function origin(): string | undefined {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 100
  const { stack = '' } = new Error('where')
  Error.stackTraceLimit = stackTraceLimit
  const places = stack.split('\n').flatMap((line) => {
    const [, place] = line.split(ROOT)
    return place && /^(src|test)\//.test(place) ? [place.replace(/(:\d+):\d+\)?$/, '$1')] : []
  })
  return places.find((place) => !WAY.test(place) && !place.startsWith('test/support/statements/'))
}
