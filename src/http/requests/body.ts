import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Problem } from '../../errors.ts'
import { parseJson } from '../../json-text.ts'
import { parseForm, parseParameters } from './form.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route takes forms, which any page can send, in place of JSON; `oauth`: as OAuth has them. */
    form?: boolean | 'oauth'
  }
}

/** In bytes. Larger bodies are refused with 413 before they are parsed. */
export const BODY_LIMIT = 16 * 1024

/**
 * By default, Fastify converts numbers to strings, fills in missing members and drops unknown ones, so that it would
 * accept another request than the one that was sent. Collecting all errors would let a body choose how much work its
 * refusal costs.
 */
export const STRICT_VALIDATION = {
  coerceTypes: false,
  removeAdditional: false,
  useDefaults: false,
  allErrors: false,
} as const

/**
 * No other charset, because the bytes are read as UTF-8 in any case. No other parameter, because parsers disagree on
 * them.
 */
const JSON_TYPE = /^application\/json(?:; ?charset=(?:utf-8|"utf-8"))?$/i
const FORM_TYPE = /^application\/x-www-form-urlencoded(?:; ?charset=(?:utf-8|"utf-8"))?$/i
/** Replaces a type that Fastify cannot read. */
const OTHER_TYPE = 'application/octet-stream'
const WITHOUT_BODY = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/**
 * Accepts only JSON, or only forms where the route says so. Fastify would also accept `text/plain`, which needs no CORS
 * preflight: any page could send it with the user's cookie. Neither does a form: routes that take one check where it
 * comes from. An absent body is read as `{}`, so that a schema with required members refuses it and one without
 * accepts it. A route without a body schema refuses any content.
 * Order: any; before the routes are registered.
 */
export function parseBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (request, bytes: Buffer, done) => {
    try {
      if (bytes.length === 0) return done(null)
      checkMediaType(request)
      done(null, parserFor(request)(bytes))
    } catch (error) {
      done(error as Error)
    }
  })

  // Runs after the access check and the limiter, and before a byte of the body is read.
  app.addHook('preParsing', (request, _reply, payload, done) => {
    if (!WITHOUT_BODY.has(request.method)) {
      if (Number(request.headers['content-length'] ?? 0) > 0) checkMediaType(request)
      else leaveTypeToTheEnd(request)
    }
    done(null, payload)
  })

  app.addHook('preValidation', (request, _reply, done) => {
    const { schema } = request.routeOptions
    if (schema?.body) {
      if (request.body === undefined) request.body = {}
    } else if (request.body !== undefined && !isEmptyObject(request.body)) {
      throw new Problem('invalid_request', { detail: 'This endpoint takes no body.' })
    }
    done()
  })
}

/**
 * A chunked body may be empty (RFC 9112 §7.1), and some proxies send an empty body that way. Only at its end is it
 * known whether there is content, which must be of the right type; Fastify would refuse an unknown type before that.
 */
function leaveTypeToTheEnd(request: FastifyRequest): void {
  const { headers } = request
  const type = headers['content-type']
  if (type !== undefined && !typeOf(request).test(type)) headers['content-type'] = OTHER_TYPE
}

/** Where something else than a form was sent. */
export const FORM_EXPECTED = 'Send application/x-www-form-urlencoded.'

function checkMediaType(request: FastifyRequest): void {
  const { headers } = request
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new Problem('unsupported_media_type', {
      detail: 'Send the body without Content-Encoding.',
      reason: 'content encoding',
    })
  }
  if (typeOf(request).test(headers['content-type'] ?? '')) return
  const detail = request.routeOptions.config.form ? FORM_EXPECTED : undefined
  throw new Problem('unsupported_media_type', { reason: 'content type', ...(detail ? { detail } : {}) })
}

function parserFor({ routeOptions: { config } }: FastifyRequest): (bytes: Buffer) => unknown {
  if (!config.form) return parseJson
  return config.form === 'oauth' ? parseParameters : parseForm
}

function typeOf({ routeOptions: { config } }: FastifyRequest): RegExp {
  return config.form ? FORM_TYPE : JSON_TYPE
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0
}
