import type { FastifyContextConfig } from 'fastify'
import { type ProblemCode, problems, typeOf } from '../../errors.ts'
import type { LimitName } from '../limits/policies.ts'
import { oauthErrorBody, oauthErrorOf } from '../replies/oauth-errors.ts'
import { FORM_EXPECTED } from '../requests/body.ts'
import type { Reply, Schema } from './shapes.ts'

/** RFC 9457. */
export const problemSchema: Schema = {
  type: 'object',
  description: 'A problem document (RFC 9457).',
  properties: {
    type: { type: 'string', description: '`urn:claviger:problem:` and the code, or the registered type that fits.' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', description: 'Stable and machine-readable.' },
    instance: { type: 'string', description: 'The request id; also in `X-Request-Id`.' },
    detail: { type: 'string' },
    'violated-policies': {
      type: 'array',
      items: { type: 'string' },
      description: 'Of a 429: the limits of the client’s address that were exceeded. Other limits are not named.',
    },
  },
  required: ['type', 'title', 'status', 'code', 'instance'],
  additionalProperties: false,
}

/** RFC 6749 §5.2. */
export const oauthErrorSchema: Schema = {
  type: 'object',
  description: 'An OAuth error (RFC 6749 §5.2).',
  properties: {
    error: { type: 'string', description: 'Stable and machine-readable.' },
    error_description: { type: 'string', description: 'For people.' },
  },
  required: ['error', 'error_description'],
  additionalProperties: false,
}

/** The facts of a route that determine how it may refuse. */
export interface RouteFacts {
  method: string
  access: FastifyContextConfig['access'] | undefined
  limit: LimitName | undefined
  bodyRequired: boolean
  /** Whether the body is a form. */
  form: boolean
  errors: FastifyContextConfig['errors']
  /** Its own problems, beyond those that follow from the other facts. */
  problems: readonly ProblemCode[]
}

/** The refusals of a route, by status: its own problems and those that all routes of its kind share. */
export function refusals(route: RouteFacts): Record<string, Reply> {
  const isOAuth = route.errors === 'oauth'
  const refusal = isOAuth ? oauthRefusal : problemRefusal
  // Beside an access token, a bad proof is answered like a bad token.
  const proofStatus = route.access === 'public' ? 400 : 401
  const statusOf = (code: ProblemCode) =>
    PROOFS.includes(code) ? proofStatus : (isOAuth ? oauthErrorOf(code) : problems[code]).status
  const byStatus = Map.groupBy(codesOf(route), statusOf)
  const stated = [...byStatus]
    .toSorted(([a], [b]) => a - b)
    .map(([status, codes]) => [status, refusal(status, codes, route)])
  return {
    ...Object.fromEntries(stated),
    default: { ...refusal(0, ANYWHERE, route), description: 'Whatever else any request may be refused for.' },
  }
}

function codesOf({ method, access, limit, problems: own }: RouteFacts): ProblemCode[] {
  const codes: ProblemCode[] = ['invalid_request']
  // Whether or not a body is expected: one that is sent is judged before the endpoint has a say.
  if (method !== 'GET') codes.push('origin_not_allowed', 'payload_too_large', 'unsupported_media_type')
  if (access !== 'public') codes.push('invalid_token', 'insufficient_scope', ...PROOFS)
  if (limit) codes.push('too_many_requests', 'unavailable')
  return [...codes, ...own]
}

const PROOFS: ProblemCode[] = ['invalid_dpop_proof', 'use_dpop_nonce']

/** Refusals that do not depend on the endpoint. */
const ANYWHERE: ProblemCode[] = [
  'tls_required',
  'not_found',
  'method_not_allowed',
  'request_timeout',
  'expectation_failed',
  'misdirected_request',
  'headers_too_large',
  'internal',
]

const SCHEMA = { $ref: '#/components/schemas/Problem' }
const OAUTH_SCHEMA = { $ref: '#/components/schemas/OAuthError' }
/** The headers of all refusals with a status. */
const HEADERS: Record<number, Reply['headers']> = {
  401: {
    'WWW-Authenticate': { description: 'A Bearer or DPoP challenge (RFC 6750, RFC 9449).', schema: { type: 'string' } },
  },
  429: {
    'Retry-After': { description: 'Seconds to wait.', schema: { type: 'integer' } },
    'RateLimit-Policy': {
      description: 'The limit of the client’s address, if it is that: requests (`q`) in a window of seconds (`w`).',
      schema: { type: 'string', examples: ['"login-ip";q=60;w=60'] },
    },
    RateLimit: {
      description: 'What is left of it (`r`), and the seconds to the end of its window (`t`).',
      schema: { type: 'string', examples: ['"login-ip";r=0;t=37'] },
    },
  },
  503: { 'Retry-After': { description: 'Seconds to wait.', schema: { type: 'integer' } } },
}

/** Besides those of the status, the nonce that goes with a refused proof. */
function headersOf(codes: ProblemCode[], ofStatus: Reply['headers']): Reply['headers'] {
  if (!codes.includes('use_dpop_nonce')) return ofStatus
  const description = 'For a request with a DPoP header: the nonce for the next proof (RFC 9449 §8).'
  return { ...ofStatus, 'DPoP-Nonce': { description, schema: { type: 'string' } } }
}

const CLIENT_CHALLENGE = { description: 'A Basic challenge (RFC 6749 §5.2).', schema: { type: 'string' } }

function oauthRefusal(status: number, codes: ProblemCode[], { form }: RouteFacts): Reply {
  const headers = headersOf(codes, status === 401 ? { 'WWW-Authenticate': CLIENT_CHALLENGE } : HEADERS[status])
  const detailOf = (code: ProblemCode) => (form && code === 'unsupported_media_type' ? FORM_EXPECTED : undefined)
  const value = (code: ProblemCode) => oauthErrorBody({ code, detail: detailOf(code) })
  const examples = Object.fromEntries(codes.map((code) => [code, { value: value(code) }]))
  return {
    description: codes.map((code) => detailOf(code) ?? oauthErrorOf(code).description).join('; '),
    ...(headers ? { headers } : {}),
    content: { 'application/json': { schema: OAUTH_SCHEMA, examples } },
  }
}

function problemRefusal(status: number, codes: ProblemCode[], { limit }: RouteFacts): Reply {
  const statusOf = (code: ProblemCode) => (status === 0 ? problems[code].status : status)
  const examples = Object.fromEntries(codes.map((code) => [code, { value: example(code, statusOf(code), limit) }]))
  const headers = headersOf(codes, HEADERS[status])
  return {
    description: codes.map((code) => problems[code].title).join('; '),
    ...(headers ? { headers } : {}),
    content: { 'application/problem+json': { schema: SCHEMA, examples } },
  }
}

function example(code: ProblemCode, status: number, limit: LimitName | undefined) {
  const { title } = problems[code]
  const violated = code === 'too_many_requests' ? { 'violated-policies': [`${limit}-ip`] } : {}
  return { type: typeOf(code), title, status, code, instance: '019f2b6e-6c1a-7c40-9d0e-2f6f4f1c9a55', ...violated }
}
