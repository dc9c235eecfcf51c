import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Problem } from '../../errors.ts'
import { type ProblemConfig, setProblemHeaders } from './problems.ts'

/**
 * Unlike replies for programs, pages may have a style, a script and images of this server, and send forms to it. The
 * browser names no page in `Origin` where the policy is `no-referrer`, so a page could not be told from a foreign one.
 */
export const PAGE_HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self'",
    "script-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; '),
  'referrer-policy': 'same-origin',
}

export function sendPage(reply: FastifyReply, markup: string): FastifyReply {
  return reply.headers(PAGE_HEADERS).type('text/html; charset=utf-8').send(markup)
}

/** Gives a page that tells of a problem the status and the headers that every refusal has. */
export function sendProblemPage(
  reply: FastifyReply,
  markup: string,
  { problem, request, config }: { problem: Problem; request: FastifyRequest; config: ProblemConfig },
): FastifyReply {
  setProblemHeaders(problem, request, reply, config)
  return sendPage(reply, markup)
}
