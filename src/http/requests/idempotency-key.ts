import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { Problem } from '../../errors.ts'

/** The header by which a client marks the repetition of an exchange. */
export const RetryHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      description:
        '1 to 255 characters. Made anew for each exchange, kept until its answer is in: a retry with the same key is always believed.',
      examples: ['7d9f2a4c-0f5e-4a53-9a43-3f6f3c1b9e10'],
    }),
  ),
})

/** Opaque. Judged here and not by the schema, which would answer pages of other origins before they are refused. */
export function idempotencyKeyOf({ headers }: FastifyRequest): string | undefined {
  const key = headers['idempotency-key']
  if (key !== undefined && (typeof key !== 'string' || key.length === 0 || key.length > 255))
    throw new Problem('invalid_request', { detail: 'Idempotency-Key must have 1 to 255 characters.' })
  return key
}
