import type { FastifyRequest } from 'fastify'
import { type Locale, negotiate } from '../../languages.ts'

/** The language in which to write to whoever sent a request. */
export function localeOf({ headers }: FastifyRequest): Locale {
  return negotiate(undefined, headers['accept-language'])
}
