import type { FastifyBaseLogger } from 'fastify'
import { onceAnHour } from './once-an-hour.ts'

/**
 * Tells the operator of pages that were refused, once an hour for each: their author sees no more than a blocked request, and
 * in the log it looks like any other.
 */
export function reportOrigins(): (log: FastifyBaseLogger, origin: string) => void {
  const isNew = onceAnHour()
  return (log, origin) => {
    if (isNew(origin)) log.warn(describe(origin), 'a page was refused, because its origin is not allowed')
  }
}

/** Browsers send nothing but these forms. What else a header may hold is nobody's business. */
function describe(origin: string): { origin: string; allowWith: string } {
  if (origin === 'null') return { origin, allowWith: 'nothing: serve the page over http, and in no sandbox' }
  if (!/^[a-z][a-z0-9+.-]*:\/\/[\w.:[\]-]{1,255}$/.test(origin))
    return { origin: 'not an origin', allowWith: 'nothing' }
  const isPage = /^https?:/.test(origin)
  return { origin, allowWith: isPage ? 'ALLOWED_ORIGINS; NATIVE_ORIGINS for a web view' : 'NATIVE_ORIGINS' }
}
