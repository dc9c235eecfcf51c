import { createHash } from 'node:crypto'
import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../../config/config.ts'
import { complete, type RouteFacts, skeleton } from './openapi.ts'
import { page } from './page.ts'
import type { OpenApi } from './shapes.ts'
import { style } from './style.ts'

/** Scripts, frames, forms and every request to elsewhere stay forbidden; only the one style sheet is let in. */
const PAGE_POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`

/**
 * `GET /openapi.json` and `GET /docs`, made from the routes that are registered afterwards: call it before them. Both are
 * absent where DOCS is off, which it is in production unless enabled (REQ-171).
 */
export function addDocs(app: FastifyInstance, config: Pick<Config, 'DOCS' | 'ISSUER'>): void {
  if (!config.DOCS) return
  const routes = new Map<string, RouteFacts>()
  app.addHook('onRoute', ({ method, url, config: stated, schema }) => {
    const path = url.replace(/:(\w+)/g, '{$1}')
    for (const each of [method].flat()) {
      routes.set(`${each} ${path}`, {
        access: stated?.access === 'bearer' ? 'bearer' : 'public',
        hasBody: schema?.body !== undefined,
      })
    }
  })
  void app.register(swagger, { openapi: skeleton(config) as never, convertConstToEnum: false, hideUntagged: false })

  let made: { json: string; html: string } | undefined
  // At the first request and not at the start: most runs never need it.
  const make = () => {
    const api = complete(app.swagger() as unknown as OpenApi, routes)
    return { json: JSON.stringify(api, null, 2), html: page(api) }
  }
  void app.register(async (scope) => {
    scope.get('/openapi.json', {
      config: { access: 'public', limit: { none: 'made once, then from memory' } },
      schema: {
        response: {
          200: { description: 'OpenAPI 3.1', content: { 'application/json': { schema: { type: 'object' } } } },
        },
      },
      handler: (_request, reply) => reply.type('application/json; charset=utf-8').send((made ??= make()).json),
    })
    scope.get('/docs', {
      config: { access: 'public', limit: { none: 'made once, then from memory' } },
      handler: (_request, reply) =>
        reply
          .type('text/html; charset=utf-8')
          .header('content-security-policy', PAGE_POLICY)
          .send((made ??= make()).html),
    })
  })
}
