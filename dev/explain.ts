import { explainFailure } from '../src/cli/failure.ts'

/** Tells somebody who has started the server what to change. Only a fault of the program is shown with its stack. */
export function explain(error: Error): string {
  const isFaultOfOurs = ['TypeError', 'ReferenceError', 'RangeError', 'SyntaxError'].includes(error.name)
  return `claviger: ${isFaultOfOurs ? error.stack : explainFailure(error).message}`
}
