import { once } from 'node:events'
import { request as requestPlain } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { request as requestTls } from 'node:https'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { HOST, type Proxy } from './proxies.ts'

export type Protocol = 'HTTP/2' | 'HTTP/1.1'

export interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: string
}

export interface Visit {
  method?: string
  headers?: Record<string, string>
  body?: unknown
}

/**
 * Somebody who calls for the host through a proxy, from an address of the loopback network of their own, so that it can be
 * told from the proxy's.
 */
export function createVisitor(proxy: Proxy, address: string, protocol: Protocol = 'HTTP/2') {
  return (path: string, { method, headers = {}, body }: Visit = {}): Promise<Answer> => {
    const verb = method ?? (body === undefined ? 'GET' : 'POST')
    const all = { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }
    const text = body === undefined ? '' : JSON.stringify(body)
    return protocol === 'HTTP/2' ? overHttp2(verb, path, all, text) : overHttp1(verb, path, all, text)
  }

  async function overHttp2(method: string, path: string, headers: Record<string, string>, text: string) {
    const session = await openSession(proxy, address)
    try {
      // As browsers say it; Node would add the port.
      const asked = { ...headers, ':authority': HOST, ':method': method, ':path': path }
      const stream = session.request(asked, { endStream: text === '' })
      if (text !== '') stream.end(text)
      const [answered] = (await once(stream, 'response')) as [Answer['headers'] & { ':status': number }]
      return { status: answered[':status'], headers: answered, body: await textOf(stream) }
    } finally {
      session.destroy()
    }
  }

  async function overHttp1(method: string, path: string, headers: Record<string, string>, text: string) {
    const asked = requestTls({
      host: '127.0.0.1',
      port: proxy.port,
      localAddress: address,
      servername: HOST,
      ca: proxy.certificate,
      agent: false,
      method,
      path,
      headers: { ...headers, host: HOST },
    })
    return await answerOf(asked.end(text))
  }
}

async function openSession(proxy: Proxy, address: string) {
  const socket = connectTls({
    socket: connect({ host: '127.0.0.1', port: proxy.port, localAddress: address }),
    servername: HOST,
    ca: proxy.certificate,
    ALPNProtocols: ['h2'],
  })
  await once(socket, 'secureConnect')
  return connectHttp2(`https://${HOST}`, { createConnection: () => socket })
}

/** Somebody who reads what does not end. */
export interface Listener extends AsyncDisposable {
  /** What has come so far, as it came. */
  pieces: string[]
}

/** Over HTTP/2, as a browser or a service would whose library can. */
export async function listen(proxy: Proxy, address: string, path: string): Promise<Listener> {
  const session = await openSession(proxy, address)
  const stream = session.request({ ':authority': HOST, ':path': path })
  const pieces: string[] = []
  stream.on('data', (chunk: Buffer) => pieces.push(chunk.toString()))
  return { pieces, [Symbol.asyncDispose]: async () => session.destroy() }
}

/** Asks the listener without TLS. */
export const visitPlain = (proxy: Proxy, address: string, method: string, path: string): Promise<Answer> =>
  answerOf(
    requestPlain({
      host: '127.0.0.1',
      port: proxy.plainPort,
      localAddress: address,
      agent: false,
      method,
      path,
      headers: { host: HOST },
    }).end(),
  )

async function answerOf(asked: ReturnType<typeof requestPlain>): Promise<Answer> {
  const [answer] = await once(asked, 'response')
  return { status: answer.statusCode, headers: answer.headers, body: await textOf(answer) }
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += chunk.toString()
  return text
}
