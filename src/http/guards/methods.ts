import type { FastifyContextConfig, FastifyInstance } from 'fastify'
import { Problem } from '../../errors.ts'
import { splitTarget } from './target.ts'

export interface KnownPath {
  /** In order of registration, including HEAD. */
  methods: Set<string>
  /** Which web pages may read the replies. */
  cors: FastifyContextConfig['cors']
  errors: FastifyContextConfig['errors']
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/') + 1)

/** Every path that is served, with any method. */
export interface KnownPaths {
  /** @param target as in the request line. */
  find(target: string): KnownPath | undefined
  /** How refusals are answered. What is not served is refused as the paths beside it, where they agree. */
  errorsOf(target: string): FastifyContextConfig['errors']
}

/**
 * Collects the routes as they are registered.
 * Order: before any route, and before `handleProblems`, `answerCors` and `refuseUnknown`, which take the result.
 */
export function collectPaths(app: FastifyInstance): KnownPaths {
  const exact = new Map<string, KnownPath>()
  const patterns: { matches: RegExp; path: KnownPath }[] = []
  const beside = new Map<string, FastifyContextConfig['errors']>()

  app.addHook('onRoute', ({ method, url, config }) => {
    let path = exact.get(url)
    if (!path) {
      path = { methods: new Set(), cors: undefined, errors: config?.errors }
      exact.set(url, path)
      if (/[:*]/.test(url)) patterns.push({ matches: toPattern(url), path })
    }
    for (const each of [method].flat()) path.methods.add(each)
    if (config?.cors) path.cors = config.cors
    const folder = folderOf(url)
    const agree = !beside.has(folder) || beside.get(folder) === config?.errors
    beside.set(folder, agree ? config?.errors : undefined)
  })
  const find = (target: string): KnownPath | undefined => {
    const { path } = splitTarget(target)
    return exact.get(path) ?? patterns.find(({ matches }) => matches.test(path))?.path
  }
  const errorsOf: KnownPaths['errorsOf'] = (target) => {
    const known = find(target)
    return known ? known.errors : beside.get(folderOf(splitTarget(target).path))
  }
  return { find, errorsOf }
}

/** Only the two kinds of pattern that are in use: `/sessions/:id` and `/docs/*`. */
function toPattern(url: string): RegExp {
  const source = url
    .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replace(/:[A-Za-z_]+/g, '[^/]+')
    .replace(/\*/g, '.*')
  return new RegExp(`^${source}$`)
}

/**
 * Answers 404, or 405 with `Allow` (RFC 9110 §15.5.6) if only the method is wrong. Runs before the body is read, so
 * that a wrong path is not reported as a wrong media type. OPTIONS serves only CORS preflights and is not a method of
 * any path.
 * Order: after `answerCors`, before `limitRates` and `guardAccess`.
 */
export function refuseUnknown(app: FastifyInstance, paths: KnownPaths): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (!request.is404) return done()
    const path = paths.find(request.raw.url ?? '')
    if (!path) throw new Problem('not_found')
    reply.header('allow', [...path.methods].join(', '))
    throw new Problem('method_not_allowed')
  })
}
