import type { FastifySchemaValidationError } from 'fastify/types/schema.js'

/**
 * Says which field is wrong and why, using only names from the schema. Nothing that was sent is repeated, not even the
 * names of members and parameters: a password that a client put into a name would end up in the reply and in the log.
 * @param schema of the part.
 */
export function describeInvalid(
  errors: readonly FastifySchemaValidationError[],
  part = 'body',
  schema?: unknown,
): string {
  const [error] = errors
  if (!error) return `The ${part} is not valid.`
  // The path through the schema consists of our own names, unlike the path through the request.
  const names = [...error.schemaPath.matchAll(/\/properties\/([^/]+)/g)].map(([, name]) => `/${name}`)
  const at = `${part}${names.join('')} ${error.message ?? 'is not valid'}`
  if (error.keyword !== 'additionalProperties' || names.length > 0) return at
  return `${at}: it may have ${knownNames(schema).join(', ') || 'none'}`
}

function knownNames(schema: unknown): string[] {
  const { properties = {} } = (schema ?? {}) as { properties?: object }
  return Object.keys(properties)
}
