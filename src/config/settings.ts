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

export function integer<D extends number | undefined>(
  fallback: D,
  minimum: number,
  maximum: number,
): Setting<number | D> {
  return setting((raw) => {
    const value = Number(raw)
    if (!/^\d+$/.test(raw) || value < minimum || value > maximum) {
      throw new Error(`must be a whole number from ${minimum} to ${maximum}`)
    }
    return value
  }, fallback)
}

/** A number from 1 on, or `auto` for what the machine suggests, within the same bound. */
export function count(fallback: number, maximum: number, auto: () => number): Setting<number> {
  return setting((raw) => {
    if (raw === 'auto') return Math.min(auto(), maximum)
    const value = Number(raw)
    if (!/^\d+$/.test(raw) || value < 1 || value > maximum)
      throw new Error(`must be auto, or a whole number from 1 to ${maximum}`)
    return value
  }, fallback)
}

/** A share from 0 to 1, written as a decimal. */
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

export function itemsOf(raw: string): string[] {
  return raw.split(',').map((item) => item.trim())
}

/** Comma-separated; white space around items is dropped, duplicates are refused. */
export function list<T>(fallback: T[], rule: Rule<T>): Setting<T[]> {
  return setting((raw) => {
    const items = itemsOf(raw)
    const present = items.filter((item) => item !== '')
    const faults: string[] = []
    if (present.length < items.length) faults.push('has an empty item')
    if (new Set(present).size < present.length) faults.push('names an item twice')
    const values = items.flatMap((item, index) => {
      if (item === '') return []
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
