/** The exit codes, which scripts may rely on. `help` lists them. */
export const EXIT = { ok: 0, failed: 1, usage: 2, notFound: 3, unreachable: 4, config: 78, interrupted: 130 } as const

/** Ends a command with an exit code and one message for standard error. */
export class Failure extends Error {
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.name = 'Failure'
    this.code = code
  }
}

/** Wrong usage. */
export function refuse(message: string): never {
  throw new Failure(EXIT.usage, message)
}
