import { explainRefusal } from './refusals.ts'

/** Thrown where the first question to the database has no answer. */
export class Unreachable extends Error {
  /** `host:port/database`, never the user or the password. */
  readonly target: string
  constructor(target: string, cause: unknown) {
    super(`the database at ${target} cannot be reached: ${reasonOf(cause)}`, { cause })
    this.name = 'Unreachable'
    this.target = target
  }
}

/** The code of a broken connection says more than its message, which names the address a second time. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0])
  if (!(error instanceof Error)) return 'unknown error'
  const refusal = explainRefusal(error)
  if (refusal !== undefined) return refusal
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && /^E[A-Z_]+$/.test(code) ? code : error.message
}
