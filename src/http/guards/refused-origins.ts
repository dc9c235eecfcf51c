import type { FastifyBaseLogger } from 'fastify'
import { onceAnHour } from './once-an-hour.ts'

/**
 * Tells the operator which pages were refused, once an hour for each. Their authors only see that the browser blocked a
 * request, which would look like any other in the log.
 */
export function reportOrigins(): (log: FastifyBaseLogger, origin: string) => void {
  const isNew = onceAnHour()
  return (log, origin) => {
    if (isNew(origin)) log.warn(describe(origin), 'a page was refused, because its origin is not allowed')
  }
}

/** Browsers send only these forms. Anything else is not repeated in the log. */
function describe(origin: string): { origin: string; allowWith: string } {
  if (origin === 'null') return { origin, allowWith: 'nothing: serve the page over http, and in no sandbox' }
  if (!/^[a-z][a-z0-9+.-]*:\/\/[\w.:[\]-]{1,255}$/.test(origin))
    return { origin: 'not an origin', allowWith: 'nothing' }
  const isPage = /^https?:/.test(origin)
  return { origin, allowWith: isPage ? 'ALLOWED_ORIGINS; NATIVE_ORIGINS for a web view' : 'NATIVE_ORIGINS' }
}
