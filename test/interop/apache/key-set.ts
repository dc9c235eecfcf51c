import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Job, Run } from '../program.ts'

/** The issuer's key set once more, over TLS: mod_auth_openidc takes it from nowhere else. */
export async function serveKeySet(job: Job, run: Run): Promise<AsyncDisposable & { url: string; certificate: string }> {
  const certificate = join(job.folder, 'issuer.crt')
  const secret = join(job.folder, 'issuer.key')
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2']
  const pair = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    secret,
    '-out',
    certificate,
  ]
  await run({ file: 'openssl', args: ['req', '-x509', ...pair, ...subject] })
  const keys = await (await fetch(`${job.issuer}/.well-known/jwks.json`)).text()
  const server = createServer({ cert: await readFile(certificate), key: await readFile(secret) }, (_asked, answer) => {
    answer.writeHead(200, { 'content-type': 'application/json' }).end(keys)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/.well-known/jwks.json`,
    certificate,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
