import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rotateKeys } from '../../../src/keys/operator.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { byOperator } from '../../support/operation.ts'

const KEY_SET = '/.well-known/jwks.json'
const HOST = 'Host: auth.example.com'
const SETTINGS = { ISSUER: 'https://auth.example.com', ALLOWED_HOSTS: 'auth.example.com', TRUSTED_PROXIES: '127.0.0.1' }

let quick: TestApp
/** The same server at log level debug, at which every request takes the route. */
let plain: TestApp
beforeAll(async () => {
  quick = await createTestApp({ env: { ...SETTINGS, LOG_LEVEL: 'info' } })
  plain = await createTestApp({ join: quick, env: { LOG_LEVEL: 'debug' } })
})
afterAll(async () => {
  await plain[Symbol.asyncDispose]()
  await quick[Symbol.asyncDispose]()
})

/** Sends the bytes as they are; what comes until the connection closes, and how many requests the router saw. */
async function send(t: TestApp, bytes: string): Promise<{ text: string; routed: number }> {
  if (!t.app.server.listening) await t.listen()
  const { port } = new URL(`http://localhost:${(t.app.server.address() as { port: number }).port}`)
  let routed = 0
  const count = () => void routed++
  subscribe('tracing:fastify.request.handler:start', count)
  try {
    const text = await new Promise<string>((resolve, reject) => {
      let received = ''
      const socket = connect(Number(port), '127.0.0.1', () => socket.write(bytes))
      socket.setEncoding('latin1').on('data', (chunk) => {
        received += chunk
      })
      socket.on('end', () => resolve(received)).on('error', reject)
    })
    return { text, routed }
  } finally {
    unsubscribe('tracing:fastify.request.handler:start', count)
  }
}

const get = (headers: string[] = [HOST], line = `GET ${KEY_SET} HTTP/1.1`, body = '') =>
  [line, ...headers, 'Connection: close', '', body].join('\r\n')

/** Without what differs from one request to the next. */
const constant = (text: string) =>
  text.replace(/^(Date): .*\r$/gim, '$1\r').replace(/^(x-request-id): [\w-]{36}\r$|"instance":"[\w-]{36}"/gim, '$1\r')

describe('without the router, byte for byte what the route answers', () => {
  test.each<[string, string]>([
    ['the key set', get()],
    ['in HTTP/1.0', get([HOST], `GET ${KEY_SET} HTTP/1.0`)],
    ['two on one connection', `GET ${KEY_SET} HTTP/1.1\r\n${HOST}\r\n\r\n${get()}`],
    ['from a page', get([HOST, 'Origin: https://anybody.example', 'Sec-Fetch-Site: cross-site'])],
    ['with a body, and one after it', `GET ${KEY_SET} HTTP/1.1\r\n${HOST}\r\nContent-Length: 3\r\n\r\nabc${get()}`],
    ['with the id of a proxy', get([HOST, 'X-Request-Id: abcdefgh', 'X-Forwarded-Proto: https'])],
    ['metadata', get([HOST], 'GET /.well-known/oauth-authorization-server HTTP/1.1')],
    ['metadata elsewhere', get([HOST], 'GET /.well-known/openid-configuration HTTP/1.1')],
  ])('%s', async (_name, bytes) => {
    const [fast, slow] = [await send(quick, bytes), await send(plain, bytes)]
    expect(constant(fast.text)).toBe(constant(slow.text))
    expect(fast.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(fast.routed).toBe(0)
    expect(slow.routed).toBeGreaterThan(0)
  })
})

describe('left to the router', () => {
  test.each<[string, string, number]>([
    ['HEAD', get([HOST], `HEAD ${KEY_SET} HTTP/1.1`), 200],
    ['POST', get([HOST], `POST ${KEY_SET} HTTP/1.1`), 405],
    ['a query', get([HOST], `GET ${KEY_SET}?a=1 HTTP/1.1`), 200],
    ['a repeated parameter', get([HOST], `GET ${KEY_SET}?a=1&a=1 HTTP/1.1`), 400],
    ['absolute form', get([HOST], `GET https://auth.example.com${KEY_SET} HTTP/1.1`), 200],
    ['an escape', get([HOST], 'GET /.well-known/jwks%2Ejson HTTP/1.1'), 404],
    ['a condition', get([HOST, 'If-None-Match: *']), 304],
    ['another Host', get(['Host: evil.example']), 421],
    ['two Hosts', get([HOST, HOST]), 400],
    ['no Host', get([]), 400],
    ['plain http behind a proxy', get([HOST, 'X-Forwarded-Proto: http']), 403],
  ])('%s', async (_name, bytes, status) => {
    const [fast, slow] = [await send(quick, bytes), await send(plain, bytes)]
    expect(fast.text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(constant(fast.text)).toBe(constant(slow.text))
  })

  test('everything once the server is stopping: the connection must end', async () => {
    const bytes = `GET ${KEY_SET} HTTP/1.1\r\n${HOST}\r\n\r\n`
    quick.lifecycle.stopping = true
    try {
      const { text, routed } = await send(quick, bytes)
      expect(text).toMatch(/\r\nconnection: close\r\n/)
      expect(routed).toBe(1)
    } finally {
      quick.lifecycle.stopping = false
    }
  })
})

test('it is measured as the route', async () => {
  const count = async () => {
    const { values } = await quick.deps.metrics.requestSeconds.get()
    return values.find(
      ({ metricName, labels }) =>
        metricName === 'claviger_http_request_seconds_count' && labels.route === KEY_SET && labels.status === 200,
    )?.value
  }
  await send(quick, get())
  const before = (await count()) ?? 0
  await send(quick, get())
  expect(await count()).toBe(before + 1)
})

test('a new key is in the next answer', async () => {
  const before = await send(quick, get())
  await rotateKeys(quick.deps, byOperator(quick.deps), { compromised: true })
  await quick.keys.reload()
  const after = await send(quick, get())
  expect(after.routed).toBe(0)
  expect(after.text).toContain(quick.deps.keyring.jwks().body.toString())
  expect(after.text).toContain(`\r\netag: ${quick.deps.keyring.jwks().etag}\r\n`)
  expect(after.text).not.toContain(/\r\netag: (\S+)/.exec(before.text)?.[1])
})
