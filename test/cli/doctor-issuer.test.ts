import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { checkIssuer } from '../../src/cli/doctor/issuer.ts'
import { createTestApp } from '../support/app.ts'
import { freePort } from '../support/server.ts'
import { run } from './support.ts'

/** Something that answers on a port, which may or may not be a Claviger. */
async function answering(answer: RequestListener) {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, port, [Symbol.asyncDispose]: async () => void server.close() }
}

/** A server on a port of its own, whose issuer may be that port. */
async function startClaviger(env: Record<string, string> = {}) {
  const port = await freePort()
  const t = await createTestApp({ env: { PORT: `${port}`, ISSUER: `http://127.0.0.1:${port}`, ...env } })
  await t.app.listen({ host: '127.0.0.1', port })
  return t
}

const report = async (env: Record<string, string>) => {
  const { out } = await run(['doctor', '--json'], { env })
  const { checks } = JSON.parse(out) as { checks: { check: string; status: string; message: string }[] }
  return checks.find(({ check }) => check === 'issuer')
}

test('an issuer that leads to this server is well', async () => {
  await using t = await startClaviger()
  expect(await report(t.env)).toMatchObject({ status: 'ok', message: `${t.config.ISSUER} leads to this server` })
})

test('one that leads elsewhere, or nowhere while the server runs, is not', async () => {
  await using t = await startClaviger()
  await using twin = await startClaviger()
  expect(await report({ ...t.env, ISSUER: twin.config.ISSUER })).toMatchObject({
    status: 'warning',
    message: expect.stringContaining('none of its keys is in this database'),
  })
  await using other = await startClaviger({ ISSUER: 'http://localhost:3000' })
  expect(await report({ ...t.env, ISSUER: `http://127.0.0.1:${other.env.PORT}` })).toMatchObject({
    status: 'warning',
    message: 'what answers at ISSUER has another issuer',
  })
  await using page = await answering((_request, reply) => reply.end('<h1>hello</h1>'))
  expect(await report({ ...t.env, ISSUER: page.url })).toMatchObject({
    status: 'warning',
    message: 'what answers at ISSUER is no auth server (status 200)',
  })
  expect(await report({ ...t.env, ISSUER: `http://127.0.0.1:${await freePort()}` })).toMatchObject({
    status: 'warning',
    message: `nothing answers at ISSUER (ECONNREFUSED), while this server listens on port ${t.env.PORT}`,
  })
})

test('nothing is said where nothing can be seen', async () => {
  await using t = await startClaviger()
  const ISSUER = `http://localhost:${await freePort()}`
  const PORT = Number(t.env.PORT)
  // As in a container, whose port is published under another number.
  expect(await checkIssuer({ ISSUER, HOST: '0.0.0.0', PORT }, [])).toMatchObject({
    status: 'ok',
    message: expect.stringContaining(`it must lead to port ${PORT} here`),
  })
  expect(await checkIssuer({ ISSUER, HOST: '127.0.0.1', PORT: await freePort() }, [])).toMatchObject({
    status: 'ok',
    message: 'not checked: the server does not run here',
  })
})
