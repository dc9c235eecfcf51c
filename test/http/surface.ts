import type { FastifyInstance } from 'fastify'
import { Problem } from '../../src/errors.ts'

export const HOST = 'Host: auth.example.com'

/** Requests that reached a handler of `surface`: method and URL. */
export const calls: string[] = []

/** Routes to send requests to: some that answer, some that fail in one way each. */
export const surface = (app: FastifyInstance): void => {
  const answer = async (req: { method: string; url: string }) => {
    calls.push(`${req.method} ${req.url}`)
    return { ok: true }
  }
  app.get('/g', { config: { access: 'public' } }, answer)
  app.post('/login', { config: { access: 'public' } }, answer)
  app.get('/sessions', { config: { access: 'public' } }, answer)
  app.delete('/sessions', { config: { access: 'public' } }, answer)
  app.delete('/sessions/:id', { config: { access: 'public' } }, answer)
  app.get('/livez', { config: { access: 'public' } }, answer)
  app.get('/.well-known/jwks.json', { config: { access: 'public', cors: 'public' } }, async (_request, reply) => {
    return reply.header('cache-control', 'public, max-age=300').send({ keys: [] })
  })
  app.get('/boom', { config: { access: 'public' } }, async (_request, reply) => {
    reply.header('cache-control', 'public, max-age=300').header('set-cookie', 'a=b').header('etag', '"x"')
    throw new Error('the secret detail')
  })
  app.get('/problem', { config: { access: 'public' } }, async () => {
    throw new Problem('too_many_requests', { detail: 'Slow down.', reason: 'cross-site', retryAfter: 1.2 })
  })
  app.get('/outage', { config: { access: 'public' } }, async () => {
    throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  })
  app.get('/refused', { config: { access: 'public' } }, async () => {
    throw new Problem('invalid_grant')
  })
}
