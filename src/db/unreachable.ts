import { explainRefusal } from './refusals.ts'

/** The database did not answer when the program started, or refused the connection. */
export class Unreachable extends Error {
  /** `host:port/database`, never the user or the password. */
  readonly target: string
  constructor(target: string, cause: unknown) {
    super(`the database at ${target} cannot be reached: ${reasonOf(cause)}`, { cause })
    this.name = 'Unreachable'
    this.target = target
  }
}

/** For a broken connection its code, which is shorter than the message and does not repeat the address. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0])
  if (!(error instanceof Error)) return 'unknown error'
  const refusal = explainRefusal(error)
  if (refusal !== undefined) return refusal
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && /^E[A-Z_]+$/.test(code) ? code : error.message
}
