import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createServerClient } from '../../sdk/server/src/index.ts'

// A process of a site, for server-processes.test.ts: its pages say who asks.

const { ISSUER: issuer, SITE: site, SECRET: secret } = process.env
const auth = createServerClient({ issuer, site, secret })
const page = auth.withSession((_request, { state, user }) => Response.json({ state, email: user?.email ?? null }))

async function serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  const { method = 'GET', url = '/' } = incoming
  const request = new Request(`${site}${url}`, {
    method,
    headers: Object.entries(incoming.headers).map(([name, value]) => [name, String(value)] as [string, string]),
    ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
  })
  const response = url.startsWith('/auth/') ? await auth.handle(request) : await page(request)
  outgoing.writeHead(response.status, { 'set-cookie': response.headers.getSetCookie() })
  outgoing.end(await response.text())
}

const server = createServer((incoming, outgoing) => void serve(incoming, outgoing))
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
