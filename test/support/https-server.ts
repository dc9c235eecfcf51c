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

/** Of a name one at most: among several that are trusted, OpenSSL looks at the first of the name alone. */
const certificates = new Map<string, ReturnType<typeof makeCertificate>>()

function trustedCertificate(host: string): ReturnType<typeof makeCertificate> {
  const known = certificates.get(host)
  if (known) return known
  const made = makeCertificate(host)
  certificates.set(host, made)
  setDefaultCACertificates([...getCACertificates('default'), made.certificate])
  return made
}

/** A server with TLS on a free port of 127.0.0.1, whose certificate is for `host` and trusted from now on in this process. */
export async function startHttps(host: string, answer: RequestListener): Promise<HttpsServer> {
  const { certificate, key } = trustedCertificate(host)
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
