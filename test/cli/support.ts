import { PassThrough, Writable } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { main } from '../../src/cli/main.ts'
import { testEnvironment } from '../support/app.ts'
import { cloneDatabase } from '../support/postgres.ts'

export interface Outcome {
  code: number
  out: string
  err: string
}

interface RunOptions {
  env?: Record<string, string>
  /** All of standard input; by default it is empty. */
  stdin?: string | Uint8Array
  /** What is typed at each prompt, at a terminal. */
  typed?: (string | Uint8Array)[]
  /** Of a terminal on standard output. */
  columns?: number
}

/** Runs one command in this process. */
export async function run(args: string[], { env = {}, stdin = '', typed, columns }: RunOptions = {}): Promise<Outcome> {
  const written = { out: '', err: '' }
  const input = Object.assign(new PassThrough(), typed ? { isTTY: true, setRawMode: () => input } : {})
  const keys = [...(typed ?? [])]
  const sink = (name: 'out' | 'err', properties: object) =>
    Object.assign(
      new Writable({
        write: (chunk, _encoding, done) => {
          written[name] += String(chunk)
          // A person types when the prompt is there.
          if (name === 'err' && /(: |\[y\/N\] )$/.test(stripVTControlCharacters(String(chunk))) && keys.length > 0)
            input.write(keys.shift())
          done()
        },
      }),
      properties,
    )
  if (!typed) input.end(stdin)
  const stdout = sink('out', columns === undefined ? {} : { isTTY: true, columns })
  const code = await main(args, env, { stdin: input, stdout, stderr: sink('err', typed ? { isTTY: true } : {}) })
  return { code, ...written }
}

/** The command line on a database of its own. */
export async function createTestCli(env: Record<string, string> = {}) {
  const database = await cloneDatabase()
  const all = { ...testEnvironment(database.url), ...env }
  return {
    database,
    env: all,
    run: (args: string[], options: RunOptions = {}) => run(args, { ...options, env: { ...all, ...options.env } }),
    /** Runs with --json; what was printed, read back. */
    json: async <T = Record<string, unknown>>(args: string[], options: RunOptions = {}): Promise<T> => {
      const { code, out, err } = await run([...args, '--json'], { ...options, env: { ...all, ...options.env } })
      if (code !== 0) throw new Error(`exit code ${code}: ${err}${out}`)
      return JSON.parse(out) as T
    },
    [Symbol.asyncDispose]: database.drop,
  }
}
