import type { ParseArgsConfig, parseArgs } from 'node:util'
import type { Opened } from './open.ts'
import type { Io, Paint } from './terminal.ts'

/** By the names of variables that were not in the environment: what gave them their value, such as `.env`. */
export type Sources = Readonly<Record<string, string>>

export interface Context {
  /** The settings, as environment variables. What has to be made for them first is made at the first call. */
  environment(): Promise<NodeJS.ProcessEnv>
  sources(): Promise<Sources>
  io: Io
  paint: Paint
  /** Columns of the terminal; infinite where the output is not one, so that nothing is cut for a pipe. */
  width: number
  /** Reads the configuration and connects. Closed by main when the command is over. */
  open(): Promise<Opened>
}

/** What a command has to say, in both forms; main prints one of them. */
export interface Answer {
  json: unknown
  /** Without a line feed at the end. */
  text: string
  code?: number
}

type Options = NonNullable<ParseArgsConfig['options']>
type Values<O extends Options> = ReturnType<
  typeof parseArgs<{ options: O; allowPositionals: true; strict: true }>
>['values']

interface Spec<O extends Options> {
  /** One or two words. */
  name: string
  /** Arguments and options as the usage line shows them. */
  usage: string
  summary: string
  /** Further lines of `help <command>`. */
  details?: string
  /** Fewest and most positional arguments. */
  takes: readonly [number, number]
  options: O
  run(context: Context, args: string[], values: Values<O>): Promise<Answer>
}

export interface Command extends Omit<Spec<Options>, 'run'> {
  run(context: Context, args: string[], values: Record<string, unknown>): Promise<Answer>
}

/** A command whose `run` sees the values in the types that its options declare. */
export function command<const O extends Options>(spec: Spec<O>): Command {
  return { ...spec, run: (context, args, values) => spec.run(context, args, values as Values<O>) }
}
