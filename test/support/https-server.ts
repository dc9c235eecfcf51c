import { once } from 'node:events'
import type { IncomingMessage, RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { makeCertificate } from './certificate.ts'

export interface HttpsServer extends AsyncDisposable {
  readonly port: number
  /** By the name in its certificate. */
  readonly url: string
  /** What was asked for so far. */
  readonly requests: IncomingMessage[]
}

/** A server with TLS on a free port of 127.0.0.1, whose certificate is for `host` and trusted from now on in this process. */
export async function startHttps(host: string, answer: RequestListener): Promise<HttpsServer> {
  const { certificate, key } = makeCertificate(host)
  setDefaultCACertificates([...getCACertificates('default'), certificate])
  const requests: IncomingMessage[] = []
  const sockets = new Set<Socket>()
  const server = createServer({ cert: certificate, key }, (request, response) => {
    requests.push(request)
    answer(request, response)
  })
  server.on('connection', (socket) => sockets.add(socket.on('close', () => sockets.delete(socket))))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `https://${host}:${port}`,
    requests,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
