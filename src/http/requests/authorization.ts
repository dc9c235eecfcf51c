import type { FastifyRequest } from 'fastify'
import { Problem } from '../../errors.ts'

/** The header Authorization, if there is one. @throws Problem `invalid_request` for several. */
export function authorizationOf({ raw }: FastifyRequest): string | undefined {
  // Of several headers Node silently keeps the first, so they are counted in the raw list.
  const sent = raw.rawHeaders.filter(
    (_value, index, all) => index % 2 === 1 && all[index - 1]?.toLowerCase() === 'authorization',
  )
  if (sent.length > 1) throw new Problem('invalid_request', { detail: 'Send one Authorization header.' })
  return sent[0]
}
