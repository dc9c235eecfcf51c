import { createHash } from 'node:crypto'
import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../../config/config.ts'
import { endpoint } from '../requests/endpoint.ts'
import { complete, type RouteFacts, skeleton } from './openapi.ts'
import { page } from './page.ts'
import type { OpenApi } from './shapes.ts'
import { style } from './style.ts'

/** Scripts, frames, forms and every request to elsewhere stay forbidden; only the one style sheet is let in. */
const PAGE_POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`

/** `GET /openapi.json` and `GET /docs`, made from the routes that are registered afterwards: call it before them. */
export function describeRoutes(app: FastifyInstance, config: Pick<Config, 'ISSUER'>) {
  const routes = new Map<string, RouteFacts>()
  app.addHook('onRoute', ({ method, url, config: stated, schema }) => {
    const path = url.replace(/:(\w+)/g, '{$1}')
    for (const each of [method].flat()) {
      routes.set(`${each} ${path}`, { access: stated?.access ?? 'public', hasBody: schema?.body !== undefined })
    }
  })
  void app.register(swagger, { openapi: skeleton(config) as never, convertConstToEnum: false, hideUntagged: false })

  let made: { json: string; html: string } | undefined
  // At the first request and not at the start: most runs never need it.
  const make = () => {
    const api = complete(app.swagger() as unknown as OpenApi, routes)
    return { json: JSON.stringify(api, null, 2), html: page(api) }
  }
  const Json = { description: 'OpenAPI 3.1', content: { 'application/json': { schema: { type: 'object' } } } }
  return {
    json: endpoint({ response: { 200: Json } }, (_request, reply) =>
      reply.type('application/json; charset=utf-8').send((made ??= make()).json),
    ),
    page: endpoint({}, (_request, reply) =>
      reply
        .type('text/html; charset=utf-8')
        .header('content-security-policy', PAGE_POLICY)
        .send((made ??= make()).html),
    ),
  }
}
