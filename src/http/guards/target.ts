import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../../config/config.ts'
import { Problem } from '../../errors.ts'
import { type Source, sources } from './proxies.ts'

type TargetConfig = Pick<Config, 'ISSUER' | 'ALLOWED_HOSTS' | 'TRUSTED_PROXIES'>

/** Order: after `findSources`, before everything that looks at the path. */
export function checkTargets(app: FastifyInstance, config: TargetConfig): void {
  const check = targetCheck(config)
  app.addHook('onRequest', (request, _reply, done) => {
    check(request.raw, request.source)
    done()
  })
  // Node would refuse unknown expectations itself, without our headers.
  app.server.on('checkExpectation', (raw, reply) => app.server.emit('request', raw, reply))
}

/**
 * Refuses requests whose host, path, scheme or parameters a proxy could read differently from this server, and those
 * with an expectation that it does not know.
 * @returns a function that throws a Problem.
 */
export function targetCheck(config: TargetConfig): (raw: IncomingMessage, source?: Source) => void {
  const sourceOf = sources(config.TRUSTED_PROXIES)
  const allowedHosts = new Set(config.ALLOWED_HOSTS)
  const behindTls = config.ISSUER.startsWith('https:') && config.TRUSTED_PROXIES.length > 0

  return (raw, source) => {
    const { expect } = raw.headers
    if (expect !== undefined && expect.toLowerCase() !== '100-continue' && raw.httpVersion !== '1.0') {
      throw new Problem('expectation_failed', { reason: 'an expectation other than 100-continue' })
    }
    const { authority, path, query } = splitTarget(raw.url ?? '')
    const host = oneHost(raw)
    if (authority !== undefined && authority !== host) {
      throw new Problem('invalid_request', {
        detail: 'The request target and Host name different hosts.',
        reason: 'target authority differs from Host',
      })
    }
    // The router decodes percent-encoded letters, so they would get past the rules of a proxy that compares paths.
    if (!PLAIN_PATH.test(path)) throw new Problem('not_found', { reason: 'path is not plain' })
    if (query !== '') checkQuery(query)
    // Probes come straight from the platform, to the address of the container and over plain http.
    if (PROBES.has(path)) return
    if (allowedHosts.size > 0 && !allowedHosts.has(host ?? ''))
      throw new Problem('misdirected_request', { reason: 'Host is not in ALLOWED_HOSTS' })
    if (behindTls && ((source ?? sourceOf(raw)).protocol ?? 'https') !== 'https') {
      // Not redirected, which would hide that a credential has just crossed the network in the clear.
      throw new Problem('tls_required', { reason: 'the proxy says that the request came over plain http' })
    }
  }
}

const PROBES = new Set(['/livez', '/readyz'])
/** Unreserved characters and sub-delims of RFC 3986: none of our paths needs an escape. */
const PLAIN_PATH = /^\/[A-Za-z0-9._~!$&'()*+,;=:@/-]*$/

/** The parts of a request target in origin-form or absolute-form (RFC 9112 §3.2), the authority in lower case. */
export function splitTarget(target: string): { authority: string | undefined; path: string; query: string } {
  const absolute = target.startsWith('/') ? undefined : /^https?:\/\/([^/?#]*)/i.exec(target)
  const rest = absolute ? target.slice(absolute[0].length) || '/' : target
  const mark = rest.indexOf('?')
  return {
    authority: absolute?.[1]?.toLowerCase(),
    path: mark === -1 ? rest : rest.slice(0, mark),
    query: mark === -1 ? '' : rest.slice(mark + 1),
  }
}

/** Refuses several Host headers: Node takes the first, and a proxy may have taken the last. */
function oneHost(raw: IncomingMessage): string | undefined {
  const { rawHeaders } = raw
  let count = 0
  // This runs for every request, hence a loop, and a look at the length before the name.
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]
    if (name?.length === 4 && name.toLowerCase() === 'host') count++
  }
  if (count === 0 && raw.httpVersion === '1.0') return undefined
  const host = raw.headers.host
  if (count !== 1 || !host || !/^[A-Za-z0-9._:[\]-]+$/.test(host)) {
    throw new Problem('invalid_request', {
      detail: 'Send one valid Host header.',
      reason: `${count} Host headers, or a malformed one`,
    })
  }
  return host.toLowerCase()
}

/** Parameters that may hold secrets. URLs end up in logs, histories and Referer headers. */
const SECRET_PARAMETER =
  /^(?:(?:current_|new_)?password|passwd|(?:access_|refresh_|id_|reset_)?token|code|secret|client_secret|client_assertion|assertion|authorization|api_key)$/i

function checkQuery(query: string): void {
  const seen = new Set<string>()
  for (const name of new URLSearchParams(query).keys()) {
    if (SECRET_PARAMETER.test(name)) {
      throw new Problem('invalid_request', {
        detail: 'Send secrets in the body or a header, never in the URL.',
        reason: 'secret in the query string',
      })
    }
    // Servers differ in which of two counts (RFC 6749 §3.2 forbids repetition).
    if (seen.has(name)) throw new Problem('invalid_request', { detail: 'A query parameter is repeated.' })
    seen.add(name)
  }
}
