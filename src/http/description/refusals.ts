import { type ProblemCode, problems } from '../../errors.ts'
import type { Reply, Schema } from './shapes.ts'

/** RFC 9457. */
export const problemSchema: Schema = {
  type: 'object',
  description: 'A problem document (RFC 9457).',
  properties: {
    type: { type: 'string', description: '`urn:claviger:problem:` and the code.' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', description: 'Stable and machine-readable.' },
    instance: { type: 'string', description: 'The request id; also in `X-Request-Id`.' },
    detail: { type: 'string' },
  },
  required: ['type', 'title', 'status', 'code', 'instance'],
  additionalProperties: false,
}

/** The facts of a route that determine how it may refuse. */
export interface RouteFacts {
  method: string
  isPublic: boolean
  isLimited: boolean
  bodyRequired: boolean
  /** Its own problems, beyond those that follow from the other facts. */
  problems: readonly ProblemCode[]
}

/** The refusals of a route, by status: its own problems and those that all routes of its kind share. */
export function refusals(route: RouteFacts): Record<string, Reply> {
  const byStatus = Map.groupBy(codesOf(route), (code) => problems[code].status)
  const stated = [...byStatus].toSorted(([a], [b]) => a - b).map(([status, codes]) => [status, refusal(status, codes)])
  return {
    ...Object.fromEntries(stated),
    default: { ...refusal(0, ANYWHERE), description: 'Whatever else any request may be refused for.' },
  }
}

function codesOf({ method, isPublic, isLimited, problems: own }: RouteFacts): ProblemCode[] {
  const codes: ProblemCode[] = ['invalid_request']
  // Whether or not a body is expected: one that is sent is judged before the endpoint has a say.
  if (method !== 'GET') codes.push('origin_not_allowed', 'payload_too_large', 'unsupported_media_type')
  if (!isPublic) codes.push('invalid_token', 'insufficient_scope')
  if (isLimited) codes.push('too_many_requests', 'unavailable')
  return [...codes, ...own]
}

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
/** The headers of all refusals with a status. */
const HEADERS: Record<number, Reply['headers']> = {
  401: { 'WWW-Authenticate': { description: 'A Bearer challenge (RFC 6750).', schema: { type: 'string' } } },
  429: { 'Retry-After': { description: 'Seconds to wait.', schema: { type: 'integer' } } },
  503: { 'Retry-After': { description: 'Seconds to wait.', schema: { type: 'integer' } } },
}

function refusal(status: number, codes: ProblemCode[]): Reply {
  const examples = Object.fromEntries(codes.map((code) => [code, { value: example(code) }]))
  const headers = HEADERS[status]
  return {
    description: codes.map((code) => problems[code].title).join('; '),
    ...(headers ? { headers } : {}),
    content: { 'application/problem+json': { schema: SCHEMA, examples } },
  }
}

function example(code: ProblemCode) {
  const { status, title } = problems[code]
  const type = `urn:claviger:problem:${code}`
  return { type, title, status, code, instance: '019f2b6e-6c1a-7c40-9d0e-2f6f4f1c9a55' }
}
