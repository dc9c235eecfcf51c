import { once } from 'node:events'
import {
  type ClientRequest,
  createServer,
  type IncomingMessage,
  request as open,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request as it came over the line. */
export interface Passed {
  method: string
  path: string
  headers: IncomingMessage['headers']
  /** What the server said; undefined as long as it has not. */
  status?: number
}

/** Sends the request on and returns the server's answer, read whole; then it is for the caller to pass it on or lose it. */
export type Forward = () => Promise<{ status: number; headers: IncomingMessage['headers']; body: Buffer }>

export interface Line extends AsyncDisposable {
  url: string
  passed: Passed[]
  /** Requests for a path that came, preflights left out. */
  to(path: string): Passed[]
  /** Disturbs what comes for a path. @returns what ends that. */
  disturb(path: string, how: (forward: Forward, response: ServerResponse, passed: Passed) => Promise<void>): () => void
  /** Removes a header from all requests. */
  strip(header: string): void
  /** Passes every body on in chunks, also one that is absent. */
  sendInChunks(): void
  /** Where requests go. */
  connect(url: string): void
}

/** A real HTTP connection between the browser and the server, on which answers can get lost. */
export async function openLine(): Promise<Line> {
  let target = ''
  const disturbances = new Map<string, Parameters<Line['disturb']>[1]>()
  const stripped = new Set<string>()
  let inChunks = false
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', url = '', headers } = request
    const passed: Passed = { method, path: url, headers: { ...headers } }
    line.passed.push(passed)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const forward: Forward = async () => {
      const sent = { ...headers }
      for (const header of stripped) delete sent[header]
      if (inChunks && method !== 'GET' && method !== 'OPTIONS') {
        delete sent['content-length']
        sent['transfer-encoding'] = 'chunked'
      }
      const outgoing: ClientRequest = open(target + url, { method, headers: sent })
      outgoing.end(Buffer.concat(chunks))
      const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
      const body: Buffer[] = []
      for await (const chunk of answer) body.push(chunk as Buffer)
      passed.status = answer.statusCode ?? 0
      return { status: passed.status, headers: answer.headers, body: Buffer.concat(body) }
    }
    try {
      const disturbance = method === 'OPTIONS' ? undefined : disturbances.get(url)
      if (disturbance) await disturbance(forward, response, passed)
      else deliver(response, await forward())
    } catch {
      response.destroy()
    }
  }
  const server: Server = createServer((request, response) => void serve(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const line: Line = {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    passed: [],
    to: (path) => line.passed.filter((each) => each.path === path && each.method !== 'OPTIONS'),
    disturb: (path, how) => {
      disturbances.set(path, how)
      return () => disturbances.delete(path)
    },
    strip: (header) => stripped.add(header),
    sendInChunks: () => {
      inChunks = true
    },
    connect: (url) => {
      target = url
    },
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
  return line
}

export function deliver(response: ServerResponse, { status, headers, body }: Awaited<ReturnType<Forward>>): void {
  response.writeHead(status, headers).end(body)
}
