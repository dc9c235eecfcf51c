import { ClientRefused } from '../clients/refused.ts'
import { ConfigError } from '../config/parse.ts'
import { cannotWrite, isUnavailable, lacksSchema } from '../db/errors.ts'
import { reasonOf, Unreachable } from '../db/unreachable.ts'
import { Problem } from '../errors.ts'
import { wordFault } from './clients-add.ts'
import { EXIT, Failure } from './exit.ts'

/** What an error means to the operator: an exit code, and a message without a stack and without a secret. */
export function explainFailure(error: unknown): { code: number; message: string } {
  if (error instanceof Failure) return { code: error.code, message: error.message }
  if (error instanceof ConfigError) return { code: EXIT.config, message: error.message }
  if (error instanceof Unreachable) return { code: EXIT.unreachable, message: error.message }
  if (error instanceof Problem) return explainProblem(error)
  if (error instanceof ClientRefused) return explainClient(error)
  if (cannotWrite(error))
    return { code: EXIT.unreachable, message: 'the database takes no writes: it is read-only, or a standby' }
  if (isUnavailable(error))
    return { code: EXIT.unreachable, message: `the database stopped answering: ${reasonOf(error)}` }
  if (lacksSchema(error)) {
    return { code: EXIT.failed, message: 'the schema of the database is not up to date: run “claviger migrate”' }
  }
  return { code: EXIT.failed, message: error instanceof Error ? error.message : String(error) }
}

function explainProblem({ code, title, detail, reason }: Problem): { code: number; message: string } {
  if (code === 'not_found') return { code: EXIT.notFound, message: detail ?? title }
  if (code === 'unavailable') return { code: EXIT.unreachable, message: `${title}${reason ? ` (${reason})` : ''}` }
  return { code: EXIT.failed, message: detail ? `${title}. ${detail}` : title }
}

function explainClient({ kind, message, faults }: ClientRefused): { code: number; message: string } {
  const code = { invalid: EXIT.usage, conflict: EXIT.failed, not_found: EXIT.notFound }[kind]
  return { code, message: faults.length > 0 ? faults.map(wordFault).join('\n') : message }
}
