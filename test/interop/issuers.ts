import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { makeEphemeralHome } from '../../dev/postgres/ephemeral.ts'
import { openPostgres } from '../../dev/postgres.ts'
import { makeVectors } from '../../sdk/verifier/make-vectors.ts'
import { signingKey } from '../../sdk/verifier/vectors/keys.ts'
import { encode } from '../../sdk/verifier/vectors/mint.ts'
import { byIssuer, published } from '../../sdk/verifier/vectors/sign.ts'
import { migrate } from '../../src/db/migrate.ts'
import { postJson } from '../support/post-json.ts'
import { freePort, startServer } from '../support/server.ts'
import type { Expectation } from './judge.ts'

export interface TestToken extends Expectation {
  token: string
}

/** An issuer with discovery, and tokens of which it is known whether they are good. */
export interface Issuer extends AsyncDisposable {
  url: string
  audience: string
  tokens: TestToken[]
}

/** The real server on a PostgreSQL of its own, with a user who has just signed in. */
export async function startLiveIssuer(): Promise<Issuer & { databaseUrl: string }> {
  const audience = 'orders'
  await using stack = new AsyncDisposableStack()
  const postgres = await openPostgres({
    directory: await makeEphemeralHome(),
    ephemeral: true,
  })
  stack.defer(() => postgres.close())
  await migrate(postgres.url)
  const port = String(await freePort())
  const url = `http://127.0.0.1:${port}`
  const env = { PORT: port, ISSUER: url, AUDIENCE: audience, ACCESS_TOKEN_SECONDS: '3600' }
  stack.use(await startServer({ databaseUrl: postgres.url, env }))
  const credentials = { email: 'reader@example.com', password: randomBytes(18).toString('base64url') }
  await post(`${url}/register`, credentials)
  const { access_token: token } = await post<{ access_token: string }>(`${url}/login`, credentials)
  const owned = stack.move()
  return {
    url,
    audience,
    databaseUrl: postgres.url,
    tokens: [{ name: 'live token', token, accept: true }],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function post<Reply>(url: string, body: object): Promise<Reply> {
  const answer = await postJson(url, body)
  if (!answer.ok) throw new Error(`${url} was answered ${answer.status}: ${await answer.text()}`)
  return (await answer.json()) as Reply
}

/** A list for those that follow the feed, and no stream. */
function nothingRevoked(iss: string): string {
  const header = { alg: 'RS256', typ: 'revocations+jwt', kid: published(signingKey).kid }
  const claims = {
    iss,
    iat: Math.floor(Date.now() / 1000),
    epoch: 'AAAAAAAAAAAAAAAAAAAAAA',
    seq: 0,
    after: 0,
    ttl: 2,
    revocations: [],
  }
  const input = [header, claims].map((part) => encode(JSON.stringify(part))).join('.')
  return `${input}.${byIssuer(input).toString('base64url')}`
}

/** Publishes the vectors' keys behind the same discovery documents as those of `live`, but for the address in them. */
export async function startVectorIssuer(live: Pick<Issuer, 'url'>): Promise<Issuer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const vectors = makeVectors(url)
  const documents = new Map([['/.well-known/jwks.json', JSON.stringify(vectors.jwks)]])
  for (const path of ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']) {
    const answer = await fetch(live.url + path)
    documents.set(path, (await answer.text()).replaceAll(live.url, url))
  }
  server.on('request', (request, response) => {
    const [path = ''] = (request.url ?? '').split('?')
    const body = path === '/.well-known/revocations' ? nothingRevoked(url) : documents.get(path)
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json' }).end(body ?? '{}')
  })
  const tokens = [
    ...vectors.valid.map(({ name, token, optional = false }) => ({ name, token, optional, accept: true })),
    ...vectors.bad.map(({ name, token, optional = false }) => ({ name, token, optional, accept: false })),
  ]
  return {
    url,
    audience: vectors.audience,
    tokens,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
