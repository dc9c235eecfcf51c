import type { Config } from '../../config/config.ts'
import { oauthErrorSchema, problemSchema, type RouteFacts, refusals } from './refusals.ts'
import type { OpenApi, OperationObject } from './shapes.ts'

const GROUPS = {
  Sessions: 'Sign in, stay signed in, sign out.',
  Account:
    'What a signed-in person sees and changes. Send the access token as `Authorization: Bearer …`, one that is bound to a key as `Authorization: DPoP …` with a proof.',
  Recovery: 'What somebody can do who reads the mailbox of an account. None of it signs in.',
  OAuth: 'For OAuth libraries, and for services that act for nobody but themselves.',
  Keys: 'For services that verify access tokens themselves, without a call per request.',
  Health: 'For load balancers and orchestrators.',
  Description: 'This description.',
}

const INTRODUCTION = `Signs people in, issues short-lived access tokens and rotating refresh tokens, and publishes the keys to verify them with.

1. **Sign in** with \`POST /login\`. Keep the access token in memory; it lives for minutes.
2. **Call your services** with \`Authorization: Bearer …\`. They verify it offline with the public keys.
3. **Refresh** with \`POST /refresh\` before it expires. The refresh token is replaced every time.
4. **Sign out** with \`POST /logout\`. The session ends at once.

Bodies are JSON in UTF-8, at most 16 KiB; members that are not described here are refused. Under \`/oauth/\` they are forms, of which unknown parameters are ignored. Every reply carries \`X-Request-Id\`. HEAD works wherever GET does.

A site that calls from its server may state its visitor's address in \`Claviger-Visitor-Address\`, at every endpoint that needs no access token. Beside it, \`Authorization: Basic\` proves a service client that is registered for that.

Whatever is refused is answered with a problem document (RFC 9457, \`application/problem+json\`). Decide by \`code\`: it is stable. \`instance\` is the request id, for whoever reads the log. Under \`/oauth/\`, at the stream of revocations and where services report what they have heard, it is an OAuth error instead (RFC 6749 §5.2).
`

/** The frame of the description. @fastify/swagger adds the paths and schemas with their words. */
export function skeleton({ ISSUER }: Pick<Config, 'ISSUER'>) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Claviger',
      version: '1',
      description: INTRODUCTION,
      license: { name: 'Apache License 2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: ISSUER }],
    tags: Object.entries(GROUPS).map(([name, description]) => ({ name, description })),
    components: {
      schemas: { Problem: problemSchema, OAuthError: oauthErrorSchema },
      securitySchemes: {
        accessToken: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'Access token with the scope `account`.',
        },
        boundToken: {
          type: 'http',
          scheme: 'dpop',
          description:
            'The same, bound to a key (RFC 9449): `Authorization: DPoP …` and, in the header `DPoP`, a proof of the key for this request.',
        },
        feedToken: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'Access token of a service client for the audience of the revocation feed.',
        },
        refreshCookie: {
          type: 'apiKey',
          in: 'cookie',
          name: '__Host-refresh_token',
          description: 'Refresh token of a browser. Needs an `Origin` that is allowed.',
        },
        clientSecret: {
          type: 'http',
          scheme: 'basic',
          description:
            'Id and secret of a service client, each form-encoded (RFC 6749 §2.3.1). Other methods send parameters in the form.',
        },
      },
    },
  } as const
}

/**
 * Completes the description that was made from the schemas with what follows from the rest of each route: who may call
 * it, and every problem that it may answer with. Pure.
 * @param routes by method and path: `GET /sessions/{id}`.
 */
export function complete(made: OpenApi, routes: ReadonlyMap<string, RouteFacts>): OpenApi {
  const paths = Object.entries(made.paths).map(([path, methods]) => {
    const operations = Object.entries(methods).map(([method, operation]) => {
      const route = routes.get(`${method.toUpperCase()} ${path}`)
      if (!route) throw new Error(`${method} ${path} is described, but no route`)
      return [method, completeOperation(`${method} ${path}`, operation, route)]
    })
    return [path, Object.fromEntries(operations)]
  })
  return { ...made, paths: Object.fromEntries(paths) }
}

/** An empty requirement says that the request may come without (OpenAPI 3.1 §4.8.30). */
function securityOf({ access }: RouteFacts): Record<string, string[]>[] {
  const tokens = [{ accessToken: [] }, { boundToken: [] }]
  return access === 'optional' ? [{}, ...tokens] : tokens
}

/** @fastify/swagger takes every body for JSON. */
function contentOf({ content }: NonNullable<OperationObject['requestBody']>, { form }: RouteFacts) {
  return form ? { 'application/x-www-form-urlencoded': content['application/json'] ?? {} } : content
}

function completeOperation(
  name: string,
  { requestBody, security, responses, ...words }: OperationObject,
  route: RouteFacts,
): OperationObject {
  return {
    operationId: name.replace(/\W+(\w)/g, (_, letter: string) => letter.toUpperCase()).replace(/\W/g, ''),
    ...words,
    ...(requestBody ? { requestBody: { content: contentOf(requestBody, route), required: route.bodyRequired } } : {}),
    security: route.access === 'public' ? (security ?? []) : securityOf(route),
    responses: { ...responses, ...refusals(route) },
  }
}
