import { readFileSync } from 'node:fs'
import { isServiceAddress } from './names.ts'
import type { Setting } from './settings.ts'

/** Variables of the environment. */
export type Env = Readonly<Record<string, string | undefined>>

/** The text of a setting, without white space around it or a byte order mark. */
export function textOf(name: string, { secret }: Pick<Setting<unknown>, 'secret'>, env: Env): string | undefined {
  const text = (secret ? valueOrFile(name, env) : env[name])?.trim()
  if (text === undefined) return undefined
  if (/^["'`]/.test(text)) {
    throw new Error('begins with a quotation mark: not every reader of such files removes them, so write it without')
  }
  // A Service called `metrics` sets METRICS_PORT in every container of its namespace.
  if (isServiceAddress(text)) {
    throw new Error(
      'looks like a Kubernetes service link: set enableServiceLinks to false for the pod, or state the setting there',
    )
  }
  return text
}

/** `NAME`, or the contents of the file that `NAME_FILE` names (as container secrets are mounted). */
function valueOrFile(name: string, env: Env): string | undefined {
  const file = env[`${name}_FILE`]
  if (!file) return env[name]
  if (env[name]) throw new Error(`is set twice, here and by ${name}_FILE`)
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (error) {
    throw new Error(`the file that ${name}_FILE names cannot be read (${(error as NodeJS.ErrnoException).code})`, {
      cause: error,
    })
  }
  if (/^(fffe|feff)/.test(bytes.toString('hex', 0, 2))) {
    throw new Error(`the file that ${name}_FILE names is in UTF-16: save it as UTF-8`)
  }
  return bytes.toString('utf8')
}
