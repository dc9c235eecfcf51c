import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { Config } from '../../config/config.ts'
import { Problem } from '../../errors.ts'
import { endpoint } from '../requests/endpoint.ts'
import { complete, skeleton } from './openapi.ts'
import { makePage, PAGE_POLICY } from './page.ts'
import type { RouteFacts } from './refusals.ts'
import type { OpenApi } from './shapes.ts'

/** `GET /openapi.json` and the page `GET /docs`, made from the routes. Must be called before they are registered. */
export function describeRoutes(app: FastifyInstance, config: Pick<Config, 'ISSUER'>) {
  const routes = new Map<string, RouteFacts>()
  app.addHook('onRoute', ({ method, url, config: { access, limit, form, errors } = {}, schema = {} }) => {
    const { body, problems = [] } = schema
    const facts = {
      access,
      limit: typeof limit === 'object' ? ('name' in limit ? limit.name : undefined) : limit,
      bodyRequired: !Type.IsOptional(body),
      form: Boolean(form),
      errors,
      problems,
    }
    const path = url.replace(/:(\w+)/g, '{$1}')
    for (const each of [method].flat()) routes.set(`${each} ${path}`, { ...facts, method: each })
  })
  void app.register(swagger, { openapi: skeleton(config) as never, convertConstToEnum: false, hideUntagged: false })

  let made: ({ json: string } & ReturnType<typeof makePage>) | undefined
  // Made at the first request, because most processes never need it.
  const make = () => {
    const api = complete(app.swagger() as unknown as OpenApi, routes)
    return { json: JSON.stringify(api, null, 2), ...makePage(api) }
  }
  return {
    json: endpoint(
      {
        tags: ['Description'],
        summary: 'The OpenAPI description',
        description: 'Of the API, as a document of OpenAPI 3.1.',
        response: {
          200: {
            description: 'OpenAPI 3.1',
            content: { 'application/json': { schema: Type.Unsafe<string>({ type: 'object' }) } },
          },
        },
      },
      async (_request, reply) => reply.type('application/json; charset=utf-8').send((made ??= make()).json),
    ),
    page: endpoint(
      {
        tags: ['Description'],
        summary: 'This page',
        description: 'The same for people.',
        response: { 200: { description: 'HTML', content: { 'text/html': { schema: Type.String() } } } },
      },
      async (_request, reply) =>
        reply
          .type('text/html; charset=utf-8')
          .header('content-security-policy', PAGE_POLICY)
          .send((made ??= make()).html),
    ),
    pageFile: endpoint({ hide: true, params: Type.Object({ file: Type.String() }) }, async (request, reply) => {
      const file = (made ??= make()).files.get(request.params.file)
      if (!file) throw new Problem('not_found')
      // In its sandbox the page is of another origin.
      return reply.type(file.type).header('cross-origin-resource-policy', 'cross-origin').send(file.body)
    }),
  }
}
