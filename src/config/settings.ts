import { readFileSync } from 'node:fs'
import { isServiceAddress } from './names.ts'

/** How one environment variable is read. `parse` throws an Error that says what is wrong and quotes no value. */
export interface Setting<T> {
  parse(raw: string | undefined): T
  /** May also come from the file that `<NAME>_FILE` names, and is never printed. */
  readonly secret: boolean
}

export interface Fault {
  name: string
  message: string
}

/** Returns the value to use, or throws an Error that says what is wrong. */
export type Rule<T> = (value: string) => T

/** An empty variable counts as absent: that is how compose files and `.env` files say "not set". */
function setting<T, D extends T | undefined>(parse: Rule<T>, fallback: D, secret = false): Setting<T | D> {
  return { secret, parse: (raw) => (raw === undefined || raw === '' ? fallback : parse(raw)) }
}

export function integer(fallback: number, minimum: number, maximum: number): Setting<number> {
  return setting((raw) => {
    const value = Number(raw)
    if (!/^\d+$/.test(raw) || value < minimum || value > maximum) {
      throw new Error(`must be a whole number from ${minimum} to ${maximum}`)
    }
    return value
  }, fallback)
}

/** A share, written as a decimal: 0.01 is one of a hundred. */
export function share(fallback: number): Setting<number> {
  return setting((raw) => {
    if (!/^(0|1|0?\.\d+|[01]\.0+)$/.test(raw)) throw new Error('must be a number from 0 to 1, such as 0.01')
    return Number(raw)
  }, fallback)
}

export function oneOf<const V extends string, D extends V | undefined>(
  values: readonly V[],
  fallback: D,
): Setting<V | D> {
  return setting((raw) => {
    const value = values.find((allowed) => allowed === raw)
    if (value === undefined) throw new Error(`must be one of ${values.join(', ')}`)
    return value
  }, fallback)
}

export function boolean<D extends boolean | undefined>(fallback: D): Setting<boolean | D> {
  return setting((raw) => {
    if (raw !== 'true' && raw !== 'false') throw new Error('must be true or false')
    return raw === 'true'
  }, fallback)
}

export function text<T, D extends T | undefined>(fallback: D, rule: Rule<T>): Setting<T | D> {
  return setting(rule, fallback)
}

export function secret<T, D extends T | undefined>(fallback: D, rule: Rule<T>): Setting<T | D> {
  return setting(rule, fallback, true)
}

/** Comma-separated; white space around items is dropped, duplicates are refused. */
export function list<T>(fallback: T[], rule: Rule<T>): Setting<T[]> {
  return setting((raw) => {
    const items = raw.split(',').map((item) => item.trim())
    if (items.some((item) => item === '')) throw new Error('has an empty item')
    if (new Set(items).size !== items.length) throw new Error('names an item twice')
    const faults: string[] = []
    const values = items.flatMap((item, index) => {
      try {
        return [rule(item)]
      } catch (error) {
        faults.push(`item ${index + 1}: ${(error as Error).message}`)
        return []
      }
    })
    if (faults.length > 0) throw new Error(faults.join('; '))
    return values
  }, fallback)
}

/** `NAME`, or the contents of the file that `NAME_FILE` names (as container secrets are mounted). */
export function valueOrFile(name: string, env: Readonly<Record<string, string | undefined>>): string | undefined {
  const file = env[`${name}_FILE`]
  // Editors end files with a line break and may begin them with a byte order mark: `trim` takes both for white space.
  if (!file) return env[name]?.trim()
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
  return bytes.toString('utf8').trim()
}

/** A Service called `metrics` sets METRICS_PORT in every container of its namespace. */
export function refuseServiceAddress(value: string | undefined): string | undefined {
  if (value === undefined || !isServiceAddress(value)) return value
  throw new Error(
    'looks like a Kubernetes service link: set enableServiceLinks to false for the pod, or state the setting there',
  )
}
