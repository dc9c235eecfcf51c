import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../../config/config.ts'
import { isTurnedAway, isUnavailable, isUnprepared } from '../../db/errors.ts'
import { Problem, type ProblemCode, type Reason, typeOf } from '../../errors.ts'
import { PROOF_ALGORITHMS } from '../../proven-key.ts'
import type { KnownPaths } from '../guards/methods.ts'
import type { LimitConfig } from '../limits/policies.ts'
import { rateLimitHeaders, type StatedPolicy, statedPolicy } from '../limits/stated.ts'
import { describeInvalid } from '../requests/validation.ts'
import { oauthErrorBody, oauthErrorOf } from './oauth-errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `oauth`: what the route refuses is answered as RFC 6749 §5.2 says, in place of a problem document. */
    errors?: 'oauth' | undefined
  }
}

export type ProblemConfig = Pick<Config, 'ISSUER'> & LimitConfig

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/**
 * The problem document (RFC 9457) of a refusal. `instance` is the request id, by which the log has the reason.
 * @param violated the limit that was exceeded, if it is one that refusals state.
 */
export function problemDocument(problem: Problem, requestId: string, violated?: StatedPolicy) {
  return {
    type: typeOf(problem.code),
    title: problem.title,
    status: problem.status,
    code: problem.code,
    instance: requestId,
    ...(problem.detail === undefined ? {} : { detail: problem.detail }),
    ...(problem.code === 'too_many_requests' ? { 'violated-policies': violated ? [violated.stated] : [] } : {}),
  }
}

/** How access tokens may come; those that are bound to a key, by DPoP alone. */
export type TokenScheme = 'Bearer' | 'DPoP'

/** A challenge (RFC 6750 §3, RFC 9449 §7.1). Values are ours and hold no quotation marks. */
export function challenge(
  scheme: TokenScheme,
  issuer: string,
  parameters: { error?: string; scope?: string } = {},
): string {
  const algs = scheme === 'DPoP' ? { algs: PROOF_ALGORITHMS.join(' ') } : {}
  const pairs = Object.entries({ realm: issuer, ...parameters, ...algs }).map(([name, value]) => `${name}="${value}"`)
  return `${scheme} ${pairs.join(', ')}`
}

/** `error` is only for a token or a proof that was sent and is bad. */
function tokenChallenge({ code }: Problem, { headers, routeOptions }: FastifyRequest, issuer: string): string {
  if (code === 'invalid_dpop_proof' || code === 'use_dpop_nonce') return challenge('DPoP', issuer, { error: code })
  const scheme = /^(bearer|dpop)\b/i.exec(headers.authorization ?? '')?.[1]
  if (code === 'invalid_token' && scheme !== undefined)
    return challenge(scheme.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer', issuer, { error: code })
  const bearer = challenge('Bearer', issuer)
  // Endpoints that take no access token have no use for a second scheme.
  return routeOptions.config.access === 'public' ? bearer : `${bearer}, ${challenge('DPoP', issuer)}`
}

/** Names the scheme by which clients may authenticate (RFC 6749 §5.2). The realm is ours. */
function clientChallenge(issuer: string): string {
  return `Basic realm="${issuer}"`
}

/**
 * Turns whatever is thrown into a problem document, or an OAuth error where the path has those. The client gets the
 * code; the reason goes to the log.
 * Order: after `collectPaths`, before any other hook and any route.
 */
export function handleProblems(app: FastifyInstance, config: ProblemConfig, paths: KnownPaths): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = toProblem(error, request)
    logProblem(problem, error, request)
    const send = paths.errorsOf(request.raw.url ?? '') === 'oauth' ? sendOAuthError : sendProblem
    return send(problem, request, reply, config)
  })
  app.setNotFoundHandler(() => {
    throw new Problem('not_found')
  })
}

export function sendProblem(
  problem: Problem,
  request: FastifyRequest,
  reply: FastifyReply,
  config: ProblemConfig,
): FastifyReply {
  const violated = setProblemHeaders(problem, request, reply, config)
  // Sent as a string, so that the route's serialiser does not touch it and the media type stays.
  return reply.type(PROBLEM_TYPE).send(JSON.stringify(problemDocument(problem, request.id, violated)))
}

function sendOAuthError(
  problem: Problem,
  request: FastifyRequest,
  reply: FastifyReply,
  config: ProblemConfig,
): FastifyReply {
  setProblemHeaders(problem, request, reply, config)
  const { status } = oauthErrorOf(problem.code)
  reply.code(status).removeHeader('www-authenticate')
  if (status === 401) reply.header('www-authenticate', clientChallenge(config.ISSUER))
  return reply.type('application/json; charset=utf-8').send(JSON.stringify(oauthErrorBody(problem)))
}

/** Sets status and headers of a refusal, without those that were set for a success. @returns the limit to be stated. */
export function setProblemHeaders(
  problem: Problem,
  request: FastifyRequest,
  reply: FastifyReply,
  config: ProblemConfig,
): StatedPolicy | undefined {
  reply.removeHeader('set-cookie')
  reply.removeHeader('etag')
  reply.code(problem.status).header('cache-control', 'no-store')
  const violated = problem.code === 'too_many_requests' ? statedPolicy(config, problem.reason) : undefined
  if (problem.retryAfter !== undefined) {
    const seconds = Math.max(1, Math.ceil(problem.retryAfter))
    reply.header('retry-after', String(seconds))
    if (violated) reply.headers(rateLimitHeaders(violated, seconds))
  }
  // RFC 9110 §15.5.2 requires a challenge with every 401.
  if (problem.unproven && problem.code === 'invalid_client') {
    reply.header('www-authenticate', clientChallenge(config.ISSUER))
  } else if (problem.status === 401) {
    reply.header('www-authenticate', tokenChallenge(problem, request, config.ISSUER))
  }
  return violated
}

/** What refusals by the framework mean. Any other status is a fault of this server. */
const BY_STATUS: ReadonlyMap<number, ProblemCode> = new Map([
  [400, 'invalid_request'],
  [404, 'not_found'],
  [408, 'request_timeout'],
  [413, 'payload_too_large'],
  [414, 'not_found'],
  [415, 'unsupported_media_type'],
  [503, 'unavailable'],
])

/** The reason of an outage that somebody has to end. */
const SCHEMA = 'schema' satisfies Reason
/** Strangers can order these from as many addresses as they have. Why keys cannot be read is logged where they are read. */
const ORDERED: readonly (Reason | undefined)[] = ['keys of a client', 'kid is not read yet']

export function toProblem(error: FastifyError, request: FastifyRequest): Problem {
  if (error instanceof Problem) return error
  if (error.validation) {
    // A malformed id gets the same answer as an unknown one.
    if (error.validationContext === 'params') return new Problem('not_found')
    const { validation, validationContext: part = 'body' } = error
    const schema = part === 'querystring' || part === 'body' ? request.routeOptions.schema?.[part] : undefined
    const detail = describeInvalid(validation, part, schema)
    return new Problem('invalid_request', { detail })
  }
  // Nobody is left to read the reply, and the client's ECONNRESET must not be taken for one from the database.
  if (request.raw.destroyed && !request.raw.complete)
    return new Problem('invalid_request', { reason: 'the client went away' })
  if (error.code?.startsWith('FST_')) {
    const code = BY_STATUS.get(error.statusCode ?? 500)
    const reason = error.code as `FST_${string}`
    if (code) return new Problem(code, { reason, ...(code === 'unavailable' ? { retryAfter: 1 } : {}) })
  }
  // A refused connection is an outage too: the credentials of the database were changed, and a restart will use the new
  // ones.
  if (isUnavailable(error) || isTurnedAway(error))
    return new Problem('unavailable', { reason: 'database', retryAfter: 1, cause: error })
  if (isUnprepared(error)) return new Problem('unavailable', { reason: SCHEMA, retryAfter: 1, cause: error })
  return new Problem('internal', { cause: error })
}

/** Code and reason go into the request's log line. Only what somebody may have to look into gets a line of its own. */
export function logProblem(problem: Problem, error: unknown, { log, noted }: FastifyRequest): void {
  noted.code = problem.code
  const reason = problem.reason ?? problem.detail
  if (reason !== undefined) noted.reason = reason
  if (problem.code === 'internal') log.error({ err: problem.cause ?? error }, 'unexpected error')
  else if (problem.reason === SCHEMA)
    log.error({ err: problem.cause ?? error }, 'refused: tables are missing or closed to the role of the server')
  else if (problem.code === 'unavailable' && !ORDERED.includes(problem.reason))
    log.warn({ reason: problem.reason, err: problem.cause ?? error }, 'refused: unavailable')
}
