import { execFile } from 'node:child_process'
import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:net'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { isPublic } from '../src/config/networks.ts'
import { createFetch, type Lookup } from '../src/fetch.ts'
import { forFile } from './support/for-file.ts'
import { startHttps } from './support/https-server.ts'

const HOST = 'keys.example.com'
const ALLOW = ['127.0.0.1/32']
const answers: Record<string, RequestListener> = {
  '/small': (_request, response) => void response.end('{"keys":[]}'),
  '/largest': (_request, response) => void response.end(Buffer.alloc(64 * 1024, 'x')),
  '/too-large': (_request, response) => void response.end(Buffer.alloc(65 * 1024, 'x')),
  '/without-end': (_request, response) => {
    const more = () => void response.write(Buffer.alloc(8192), (error) => (error ? undefined : setImmediate(more)))
    more()
  },
  '/drips': (_request, response) => {
    const drip = setInterval(() => response.write('x'), 5)
    response.on('close', () => clearInterval(drip))
  },
  '/silent': () => {},
  '/cut': (_request, response) => {
    response.writeHead(200, { 'content-length': 100 })
    response.write('x', () => response.destroy())
  },
  '/redirect': (_request, response) => void response.writeHead(302, { location: '/small' }).end(),
  '/missing': (_request, response) => void response.writeHead(404).end(),
  '/switches': (_request, response) =>
    void response.writeHead(101, { connection: 'upgrade', upgrade: 'websocket' }).end(),
}
const server = forFile(await startHttps(HOST, (request, response) => answers[request.url ?? '']?.(request, response)))

/** Answers every question with the next of these lists, and the last again and again. */
function resolver(...lists: string[][]): Lookup & { asked: string[] } {
  const asked: string[] = []
  const lookup: Lookup = (host, _options, done) => {
    const list = lists[Math.min(asked.length, lists.length - 1)] ?? []
    asked.push(host)
    const addresses: LookupAddress[] = list.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    done(null, addresses)
  }
  return Object.assign(lookup, { asked })
}

const at = (path: string) => `${server.url}${path}`
const get = (path: string, patienceMs = 5000) =>
  createFetch({ allow: ALLOW, lookup: resolver(['127.0.0.1']), patienceMs })(at(path))

test('the body of a 200 comes back, up to 64 KiB, and nothing is said of who asks', async () => {
  expect((await get('/small')).toString()).toBe('{"keys":[]}')
  expect(await get('/largest')).toHaveLength(64 * 1024)
  const { method, headers } = server.requests[0] ?? {}
  expect(method).toBe('GET')
  expect(headers).toEqual({
    host: `${HOST}:${server.port}`,
    accept: 'application/json',
    'accept-encoding': 'identity',
    connection: 'close',
  })
})

test.each([
  ['more than 64 KiB', '/too-large', 'too large'],
  ['a body without end', '/without-end', 'too large'],
  ['a redirect, even to itself', '/redirect', 'answered 302'],
  ['an error', '/missing', 'answered 404'],
  ['a body that is cut off', '/cut', 'unreachable'],
  ['another protocol', '/switches', 'unreachable'],
])('%s is refused', async (_what, path, fault) => {
  await expect(get(path)).rejects.toMatchObject({ name: 'FetchError', fault })
})

test.each([
  ['a server that says nothing', '/silent'],
  ['a body that drips', '/drips'],
])('%s is given up', async (_what, path) => {
  await expect(get(path, 150)).rejects.toMatchObject({ fault: 'too slow' })
})

test('a resolver that says nothing is given up', async () => {
  const fetch = createFetch({ allow: ALLOW, lookup: () => {}, patienceMs: 50 })
  await expect(fetch(at('/small'))).rejects.toMatchObject({ fault: 'too slow' })
})

test.each([
  ['plain http', 'http://keys.example.com/', 'not https'],
  ['a file', 'file:///etc/passwd', 'not https'],
  ['data', 'data:application/json,{}', 'not https'],
  ['no URL', 'keys.example.com', 'not https'],
  ['a user', 'https://user@keys.example.com/', 'a user name in the URL'],
  ['a host that looks like a user', 'https://keys.example.com:443@127.0.0.1/', 'a user name in the URL'],
  ['a zone', 'https://[fe80::1%25lo]/', 'not https'],
])('%s is refused before anything is sent', async (_what, url, fault) => {
  const lookup = resolver(['127.0.0.1'])
  await expect(createFetch({ allow: ALLOW, lookup })(url)).rejects.toMatchObject({ fault })
  expect(lookup.asked).toEqual([])
})

const INSIDE = [
  '127.0.0.1',
  '127.1.2.3',
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '172.16.0.1',
  '192.168.0.1',
  '100.64.0.1',
  '169.254.169.254',
  '192.0.0.192',
  '192.0.2.1',
  '198.18.0.1',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:a9fe:a9fe',
  '::ffff:0:127.0.0.1',
  '64:ff9b::7f00:1',
  '64:ff9b::10.0.0.1',
  '64:ff9b::169.254.169.254',
  '64:ff9b:1::808:808',
  '2002:7f00:1::1',
  '2002:808:808::1',
  '2001:0:7f00:1::1',
  '2001:db8::1',
  '3fff::1',
  'fe80::1',
  'fec0::1',
  'fc00::1',
  'fd00:ec2::254',
  'ff02::1',
  '100::1',
  '4000::1',
]

test.each(INSIDE)('%s is not connected to, be it in the URL or what a name stands for', async (address) => {
  const failing = { fault: 'an address that is not public' }
  const literal = address.includes(':') ? `[${address}]` : address
  await expect(createFetch({ allow: [] })(`https://${literal}:${server.port}/`)).rejects.toMatchObject(failing)
  for (const list of [[address], ['8.8.8.8', address], [address, '2001:4860:4860::8888']])
    await expect(createFetch({ allow: [], lookup: resolver(list) })(at('/small'))).rejects.toMatchObject(failing)
})

test('what a name stands for may have a zone', async () => {
  const fetch = createFetch({ allow: [], lookup: resolver(['fe80::1%lo']) })
  await expect(fetch(at('/small'))).rejects.toMatchObject({ fault: 'an address that is not public' })
})

test.each(['2130706433', '0x7f000001', '0x7f.1', '017700000001', '127.1', '0177.0.0.1', '127.0.0.1.', '①②⑦.0.0.1'])(
  'the host %s is 127.0.0.1',
  async (host) => {
    const fetch = createFetch({ allow: [], lookup: resolver(['8.8.8.8']) })
    await expect(fetch(`https://${host}:${server.port}/small`)).rejects.toMatchObject({
      fault: 'an address that is not public',
    })
  },
)

test('a name is judged by the answer that is used, at each connection', async () => {
  const before = server.requests.length
  const lookup = resolver(['8.8.8.8'], ['127.0.0.1'])
  // Somebody who asked first would have been told a public address.
  lookup(HOST, { all: true }, () => {})
  await expect(createFetch({ allow: [], lookup })(at('/small'))).rejects.toMatchObject({
    fault: 'an address that is not public',
  })
  const turning = resolver(['127.0.0.1'], ['10.0.0.1'])
  const fetch = createFetch({ allow: ALLOW, lookup: turning })
  await fetch(at('/small'))
  await expect(fetch(at('/small'))).rejects.toMatchObject({ fault: 'an address that is not public' })
  expect(server.requests.length - before).toBe(1)
})

test.each(['8.8.8.8', '1.1.1.1', '2001:4860:4860::8888', '64:ff9b::808:808', '::ffff:8.8.8.8'])(
  '%s is public',
  (address) => {
    expect(isPublic(address)).toBe(true)
  },
)

test('OUTBOUND_ALLOW lets through what it names, in whichever form', async () => {
  for (const [allow, address] of [
    ['127.0.0.0/8', '127.0.0.1'],
    ['127.0.0.1', '::ffff:127.0.0.1'],
  ] as const)
    expect(await createFetch({ allow: [allow], lookup: resolver([address]) })(at('/small'))).toBeDefined()
  const other = createFetch({ allow: ['127.0.0.2', '::1/128', '10.0.0.0/8'], lookup: resolver(['127.0.0.1']) })
  await expect(other(at('/small'))).rejects.toMatchObject({ fault: 'an address that is not public' })
})

test('a certificate for another host is refused, and an unknown one', async () => {
  const fetch = createFetch({ allow: ALLOW, lookup: resolver(['127.0.0.1']) })
  await expect(fetch(`https://other.example.com:${server.port}/small`)).rejects.toMatchObject({ fault: 'unreachable' })
  await expect(fetch(`https://127.0.0.1:${server.port}/small`)).rejects.toMatchObject({ fault: 'unreachable' })
})

test('no variable of the environment sends a request through a proxy or takes any certificate', async () => {
  let connections = 0
  const proxy = createServer((socket) => {
    connections++
    socket.destroy()
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const { port } = proxy.address() as { port: number }
  const before = server.requests.length
  const code = `
    const { createFetch } = await import(${JSON.stringify(new URL('../src/fetch.ts', import.meta.url).href)})
    await createFetch({ allow: ['127.0.0.1'] })('https://127.0.0.1:${server.port}/small').catch((error) => console.log(error.fault))`
  const env = {
    PATH: process.env.PATH,
    NODE_USE_ENV_PROXY: '1',
    HTTPS_PROXY: `http://127.0.0.1:${port}`,
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
  }
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { env })
  proxy.close()
  expect(stdout.trim()).toBe('unreachable')
  expect(connections).toBe(0)
  expect(server.requests.length).toBe(before)
})
