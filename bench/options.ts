import { parseArgs } from 'node:util'
import type { Line } from './line.ts'
import type { Machine } from './machine.ts'
import type { Options } from './stage.ts'

/** What --json prints and --compare reads. */
export interface Report {
  machine: Machine
  at: string
  lines: Line[]
}

export interface Choice {
  /** Names of rows: those asked for, or all that are not extras. */
  chosen: string[]
  unknown: string[]
  help: boolean
  json: boolean
  /** File of an earlier report. */
  compare: string | undefined
  options: Options
}

/** @throws Error that says which option is wrong. */
export function readOptions(args: string[], rows: object, extras: object): Choice {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: '10' },
      families: { type: 'string', default: '1000000' },
      rotations: { type: 'string', default: '200000' },
      json: { type: 'boolean', default: false },
      database: { type: 'string', multiple: true, default: [] },
      compare: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  const chosen = positionals.length > 0 ? positionals : Object.keys(rows)
  const positive = (name: 'seconds' | 'families' | 'rotations'): number => {
    const value = Number(values[name])
    if (!(value > 0 && value < Number.POSITIVE_INFINITY)) throw new Error(`--${name} is not a positive number`)
    return value
  }
  return {
    chosen,
    unknown: chosen.filter((name) => !Object.hasOwn(rows, name) && !Object.hasOwn(extras, name)),
    help: values.help,
    json: values.json,
    compare: values.compare,
    options: {
      seconds: positive('seconds'),
      families: positive('families'),
      rotations: positive('rotations'),
      databases: values.database,
    },
  }
}

/** The lines of an earlier report by what they measure: only the same measurement is compared. */
export function readReport(text: string): Map<string, Line> {
  const { lines } = JSON.parse(text) as Report
  return new Map(lines.map((line) => [line.what, line]))
}
