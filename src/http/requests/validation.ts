import type { FastifySchemaValidationError } from 'fastify/types/schema.js'

/**
 * Says which field is wrong and why, in names of ours alone. What was sent is not repeated, and neither is how its members
 * and parameters were named: a password that slipped into a name would be in the reply and in the log.
 * @param schema what the part should have been.
 */
export function describeInvalid(
  errors: readonly FastifySchemaValidationError[],
  part = 'body',
  schema?: unknown,
): string {
  const [error] = errors
  if (!error) return `The ${part} is not valid.`
  // The path through the schema, unlike the one through the request, is made of names that we know.
  const names = [...error.schemaPath.matchAll(/\/properties\/([^/]+)/g)].map(([, name]) => `/${name}`)
  const at = `${part}${names.join('')} ${error.message ?? 'is not valid'}`
  if (error.keyword !== 'additionalProperties' || names.length > 0) return at
  return `${at}: it may have ${knownNames(schema).join(', ') || 'none'}`
}

function knownNames(schema: unknown): string[] {
  const { properties = {} } = (schema ?? {}) as { properties?: object }
  return Object.keys(properties)
}
