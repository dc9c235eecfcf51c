import type { FastifySchemaValidationError } from 'fastify/types/schema.js'

/**
 * Says which field is wrong and why, and never what was sent. Ajv's messages speak of the schema only; the names it adds
 * may be the client's, so those are repeated only where they look like a name.
 */
export function describeInvalid(errors: readonly FastifySchemaValidationError[], part = 'body'): string {
  const [error] = errors
  if (!error) return `The ${part} is not valid.`
  const at = /^[\w/-]{0,100}$/.test(error.instancePath) ? error.instancePath : '/…'
  const extra = error.keyword === 'additionalProperties' ? error.params.additionalProperty : undefined
  const named = typeof extra === 'string' && /^[A-Za-z][\w-]{0,39}$/.test(extra) ? ` (${extra})` : ''
  return `${part}${at} ${error.message ?? 'is not valid'}${named}`
}
