import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyBaseLogger } from 'fastify'
import type { Config } from '../../config/config.ts'
import { Problem, type ProblemCode } from '../../errors.ts'
import { securityHeaders } from '../replies/headers.ts'
import { PROBLEM_TYPE, problemDocument } from '../replies/problems.ts'
import { endUnparsed } from './linger.ts'

const CODES: ReadonlyMap<string, ProblemCode> = new Map([
  ['HPE_HEADER_OVERFLOW', 'headers_too_large'],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', 'payload_too_large'],
  ['ERR_HTTP_REQUEST_TIMEOUT', 'request_timeout'],
])

type Handler = (this: { log: FastifyBaseLogger }, error: Error & { code?: string }, socket: Socket) => void

/**
 * Answers what Node's parser refuses before it becomes a request: malformed or too large headers, and requests that
 * arrive too slowly. The reply is written by hand, with the same headers as any other.
 */
export function clientErrorHandler(config: Pick<Config, 'ISSUER' | 'HSTS'>): Handler {
  const headers = Object.entries({ ...securityHeaders(config), 'content-type': PROBLEM_TYPE, connection: 'close' })
  const fixed = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')

  return function answer(error, socket) {
    if (error.code === 'ECONNRESET' || !socket.writable || replyHasBegun(socket)) {
      socket.destroy()
      return
    }
    const problem = new Problem(CODES.get(error.code ?? '') ?? 'invalid_request')
    const id = randomUUID()
    this.log.info({ requestId: id, code: problem.code, status: problem.status, reason: error.code }, 'refused')
    const body = JSON.stringify(problemDocument(problem, id))
    endUnparsed(
      socket,
      `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\n${fixed}x-request-id: ${id}\r\n` +
        `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
  }
}

/**
 * Whether a reply is under way: writing into it would mix two replies into one. Node itself checks it in the same way.
 */
function replyHasBegun(socket: Socket): boolean {
  const { _httpMessage: message } = socket as Socket & { _httpMessage?: { headersSent: boolean } | null }
  return message?.headersSent ?? false
}
