import type { FastifyContextConfig } from 'fastify'
import type { Config } from '../../config/config.ts'
import { type ProblemCode, problems } from '../../errors.ts'
import { ProblemBody } from '../requests/schemas.ts'
import { groups, type Operation, operations } from './operations.ts'
import type { OpenApi, OperationObject, Parameter, Reply, Schema } from './shapes.ts'

/** One route as it was registered. */
export interface RouteFacts {
  access: FastifyContextConfig['access']
  hasBody: boolean
}

export const COOKIE_NAME = '__Host-refresh_token'

/** What the description starts with; @fastify/swagger fills in paths and schemas. */
export function skeleton({ ISSUER }: Pick<Config, 'ISSUER'>) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Claviger',
      version: '1',
      description:
        'Signs people in, issues short-lived access tokens and rotating refresh tokens, and publishes the keys to verify them with.',
    },
    servers: [{ url: ISSUER }],
    tags: Object.entries(groups).map(([name, description]) => ({ name, description })),
    components: {
      schemas: { Problem: problemSchema },
      securitySchemes: {
        accessToken: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'Access token with the scope `account`.',
        },
        refreshCookie: {
          type: 'apiKey',
          in: 'cookie',
          name: COOKIE_NAME,
          description: 'Refresh token of a browser. Needs an `Origin` that is allowed.',
        },
      },
    },
  } as const
}

const problemSchema = { ...ProblemBody, description: 'A problem document (RFC 9457).' } as unknown as Schema

/**
 * Completes what was made from the routes with what only `operations.ts` knows: words, who may call, and every problem
 * that may be the answer. Orders the operations as that table does. Pure.
 */
export function complete(made: OpenApi, routes: ReadonlyMap<string, RouteFacts>): OpenApi {
  const paths: OpenApi['paths'] = {}
  const known = Object.keys(operations)
  const place = (name: string) => (known.includes(name) ? known.indexOf(name) : known.length)
  const names = Object.entries(made.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({ path, method, name: `${method.toUpperCase()} ${path}` })),
  )
  for (const { path, method, name } of names.toSorted((a, b) => place(a.name) - place(b.name))) {
    const from = made.paths[path]?.[method]
    if (!from) continue
    const words = operations[name]
    paths[path] = { ...paths[path], [method]: words ? completeOperation(name, from, words, routes.get(name)) : from }
  }
  return { ...made, paths }
}

function completeOperation(
  name: string,
  from: OperationObject,
  words: Operation,
  facts: RouteFacts | undefined,
): OperationObject {
  const { summary, description, group, refreshToken, idempotencyKey } = words
  const bearer = facts?.access === 'user'
  const parameters = [
    ...(from.parameters ?? []).filter((each) => each.name.toLowerCase() !== 'idempotency-key'),
    ...(idempotencyKey ? [IDEMPOTENCY_KEY] : []),
  ]
  return {
    operationId: name
      .toLowerCase()
      .replace(/\W+(\w)/g, (_, letter: string) => letter.toUpperCase())
      .replace(/\W/g, ''),
    summary,
    ...(description ? { description } : {}),
    tags: [group],
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(from.requestBody ? { requestBody: { ...from.requestBody, required: !refreshToken } } : {}),
    // An empty requirement: the same works without, for those who send the token in the body.
    ...(bearer
      ? { security: [{ accessToken: [] }] }
      : refreshToken
        ? { security: [{ refreshCookie: [] }, {}] }
        : { security: [] }),
    responses: { ...successes(from, words), ...refusals(codesOf(words, bearer, facts?.hasBody ?? false)) },
  }
}

const IDEMPOTENCY_KEY: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  description:
    'Made anew for each exchange, kept until its answer is in: a retry with the same key is always believed.',
  schema: { type: 'string' },
}

function successes(from: OperationObject, words: Operation): Record<string, Reply> {
  return Object.fromEntries(
    Object.entries(words.replies).map(([status, description]) => {
      const made = from.responses[status] ?? from.responses['2xx'] ?? from.responses['2XX']
      const empty = status === '204' || status === '304' || !made?.content
      return [status, { description, ...(empty ? {} : { content: made.content }) }]
    }),
  )
}

function codesOf({ problems: own = [], group }: Operation, bearer: boolean, hasBody: boolean): ProblemCode[] {
  if (group === 'Health' || group === 'Description' || group === 'Keys') return []
  return [
    ...(hasBody ? (['invalid_request', 'payload_too_large', 'unsupported_media_type'] as const) : []),
    ...(bearer ? (['invalid_token', 'insufficient_scope'] as const) : []),
    ...own,
    'unavailable',
  ]
}

function refusals(codes: ProblemCode[]): Record<string, Reply> {
  const byStatus = Map.groupBy(codes, (code) => problems[code].status)
  return Object.fromEntries(
    [...byStatus].toSorted(([a], [b]) => a - b).map(([status, group]) => [String(status), refusal(status, group)]),
  )
}

function refusal(status: number, codes: ProblemCode[]): Reply {
  const examples = Object.fromEntries(
    codes.map((code) => [
      code,
      {
        value: {
          type: `urn:claviger:problem:${code}`,
          title: problems[code].title,
          status,
          code,
          instance: '019f2b6e-6c1a-7c40-9d0e-2f6f4f1c9a55',
        },
      },
    ]),
  )
  return {
    description: codes.map((code) => problems[code].title).join('; '),
    ...(status === 429 || status === 503
      ? { headers: { 'Retry-After': { description: 'Seconds to wait', schema: { type: 'integer' } } } }
      : {}),
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' }, examples } },
  }
}
