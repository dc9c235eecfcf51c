import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type {
  ContextConfigDefault,
  FastifyContextConfig,
  FastifySchema,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
  RouteGenericInterface,
  RouteHandlerMethod,
} from 'fastify'
import type { ProblemCode } from '../../errors.ts'

declare module 'fastify' {
  interface FastifySchema {
    /**
     * Why this endpoint in particular may refuse; what all of its kind share is derived
     * (`http/description/refusals.ts`).
     */
    problems?: readonly ProblemCode[]
  }
}

/** What a feature says of one of its endpoints. Where it is, and who may call it how often, `app.ts` says. */
export interface Endpoint {
  schema: FastifySchema
  handler: RouteHandlerMethod
  /** Whether it takes forms in place of JSON; `oauth`: as OAuth has them. */
  form?: boolean | 'oauth'
  /** `oauth`: refuses as RFC 6749 §5.2 says, in place of problem documents. */
  errors?: 'oauth'
  /** Of a document that is the same for everybody: what it is at the moment. Another object when it has changed. */
  read?: () => PublicDocument
}

export interface PublicDocument {
  body: Buffer
  headers: Record<string, string>
}

type HandlerOf<S extends FastifySchema> = RouteHandlerMethod<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  RouteGenericInterface,
  ContextConfigDefault,
  S,
  TypeBoxTypeProvider
>

/** Types the handler by the schema: the request's parts, and what may be sent with which status. */
export function endpoint<const S extends FastifySchema>(schema: S, handler: HandlerOf<S>): Endpoint {
  // Fastify checks by the schema what it hands to the handler; a table of routes needs no type for each.
  return { schema, handler: handler as unknown as RouteHandlerMethod }
}

/** The same for an endpoint that OAuth defines: parameters in a form, of which unknown ones are ignored, and its errors. */
export function oauthEndpoint<const S extends FastifySchema>(schema: S, handler: HandlerOf<S>): Endpoint {
  return { ...endpoint(schema, handler), form: 'oauth', errors: 'oauth' }
}

/** A row of the table in `app.ts`. */
export type Route = [
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  access: FastifyContextConfig['access'],
  limit: NonNullable<FastifyContextConfig['limit']>,
  cors: NonNullable<FastifyContextConfig['cors']>,
  endpoint: Endpoint,
]
