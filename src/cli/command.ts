import type { ParseArgsConfig, parseArgs } from 'node:util'
import type { Opened } from './open.ts'
import type { Io, Paint } from './terminal.ts'

/** Where variables got their values that were not in the environment, by name: from `.env`, for example. */
export type Sources = Readonly<Record<string, string>>

export interface Context {
  /** The settings, as environment variables. The first call makes what they need, such as a development database. */
  environment(): Promise<NodeJS.ProcessEnv>
  sources(): Promise<Sources>
  io: Io
  paint: Paint
  /** Columns of the terminal; infinite if the output is not one. */
  width: number
  /** Reads the configuration and connects. Main closes it when the command is over. */
  open(): Promise<Opened>
}

/** The answer of a command in both forms, of which main prints one. */
export interface Answer {
  /** Undefined: the command has written its answer itself. */
  json: unknown
  /** Without a final line feed. */
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
  /** The fewest and the most positional arguments. */
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
