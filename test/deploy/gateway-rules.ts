import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import type { SignedUp, TestApp } from '../support/app.ts'
import { createProofKey } from '../support/dpop.ts'

export interface Echo extends AsyncDisposable {
  /** Host and port. */
  address: string
}

/** The service behind a gateway. It says what it was sent, and forbids `/forbidden`. */
export async function startEcho(): Promise<Echo> {
  const server = createServer((asked, answer) => {
    answer.writeHead(asked.url === '/forbidden' ? 403 : 200, { 'x-service': 'echo' }).end(JSON.stringify(asked.headers))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

interface Call {
  method?: string
  path?: string
  headers?: Record<string, string | string[]>
}

/** A request to a gateway on this host. `reached`: the service has answered. */
export async function ask(
  port: number,
  token: string | undefined,
  { method = 'GET', path = '/', headers = {} }: Call = {},
) {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const all = { connection: 'close', ...authorization, ...headers }
  const asked = request({ host: '127.0.0.1', port, path, method, headers: all, agent: false }).end()
  const [answer] = await once(asked, 'response')
  let text = ''
  for await (const chunk of answer) text += chunk
  const reached = answer.headers['x-service'] === 'echo'
  const sent: Record<string, string> = reached ? JSON.parse(text || '{}') : {}
  return { status: Number(answer.statusCode), headers: answer.headers as Record<string, string>, reached, sent }
}

export interface Tokens {
  access_token: string
  refresh_token: string
}

export const signIn = async (t: TestApp, { email, password }: SignedUp, more: object = {}): Promise<Tokens> =>
  (await t.login({ email, password, ...more })).json<Tokens>()

export const signOut = (t: TestApp, { refresh_token }: Tokens) =>
  t.inject({
    method: 'POST',
    url: '/logout',
    headers: { 'content-type': 'application/json' },
    payload: JSON.stringify({ refresh_token }),
  })

/** What every gateway of the page does, however it judges a token. */
export function testRules(given: () => { t: TestApp; port: number; user: SignedUp }): void {
  test('lets a live token pass, and tells the service whose it is', async () => {
    const { port, user } = given()
    const { status, sent } = await ask(port, user.accessToken)
    expect([status, sent['x-subject'], sent['x-scope']]).toEqual([200, user.userId, 'account'])
  })

  test('believes nothing that the client says in its place', async () => {
    const { port, user } = given()
    const names = ['X-Subject', 'X_Subject', 'X-Scope', 'X_SCOPE', 'Claviger-Subject', 'Claviger-Scope']
    const headers = Object.fromEntries(names.map((name) => [name, 'admin']))
    const { sent } = await ask(port, user.accessToken, { headers })
    const told = Object.entries(sent).filter(([name]) => /^x[-_](subject|scope)$/.test(name))
    expect(Object.fromEntries(told)).toEqual({ 'x-subject': user.userId, 'x-scope': 'account' })
  })

  test('answers 401 with a challenge to whatever is no live token for this service, and does not ask it', async () => {
    const { t, port, user } = given()
    const bad: [string, string | undefined, Call?][] = [
      ['no token', undefined],
      ['no token, and a name', undefined, { headers: { 'x-subject': 'admin' } }],
      ['for another audience', (await signIn(t, user, { audience: 'stock' })).access_token],
      ['a refresh token', user.refreshToken],
      ['cut off', user.accessToken.slice(0, -4)],
      ['with another signature', `${user.accessToken.slice(0, -4)}AAAA`],
      ['in the query', undefined, { path: `/?access_token=${user.accessToken}` }],
      ['another scheme', undefined, { headers: { authorization: `Basic ${user.accessToken}` } }],
      ['a parameter behind it', `${user.accessToken}&token=${user.accessToken}`],
      ['nothing', ''],
    ]
    for (const [name, token, call] of bad) {
      const { status, headers, reached } = await ask(port, token, call)
      expect([name, status, reached]).toEqual([name, 401, false])
      expect(headers['www-authenticate'], name).toMatch(/^Bearer\b/)
    }
  })

  test('lets nothing pass that comes with two tokens, or with none by another method', async () => {
    const { port, user } = given()
    const two = { headers: { authorization: [`Bearer ${user.accessToken}`, 'Bearer other'] } }
    const other = { headers: { authorization: ['Bearer other', `Bearer ${user.accessToken}`] } }
    const odd = [await ask(port, undefined, two), await ask(port, undefined, other)]
    for (const method of ['OPTIONS', 'POST', 'HEAD', 'TRACE', 'PROPFIND'])
      odd.push(await ask(port, undefined, { method, headers: { 'x-subject': 'admin' } }))
    expect(odd.filter(({ status, reached }) => reached || status < 400)).toEqual([])
  })

  test('passes on what the service itself refuses', async () => {
    const { port, user } = given()
    expect(await ask(port, user.accessToken, { path: '/forbidden' })).toMatchObject({ status: 403, reached: true })
  })
}

/** What a gateway does that cannot check a proof of possession. */
export function testBoundTokens(given: () => { t: TestApp; port: number; user: SignedUp }): void {
  test('lets nothing pass with a token that is bound to a key: no gateway here checks a proof', async () => {
    const { t, port, user } = given()
    const key = createProofKey()
    const login = key.proof({ method: 'POST', url: `${t.config.ISSUER}/login` })
    const answer = await t.login({ email: user.email, password: user.password }, { dpop: login })
    const { access_token: token, token_type: type } = answer.json<{ access_token: string; token_type: string }>()
    expect(type).toBe('DPoP')
    const dpop = key.proof({ method: 'GET', url: `http://127.0.0.1:${port}/`, accessToken: token })
    const calls: [string, Record<string, string>][] = [
      ['stolen', {}],
      ['with a proof, as Bearer', { dpop }],
      ['with a proof', { dpop, authorization: `DPoP ${token}` }],
    ]
    for (const [name, headers] of calls) {
      // Twice, because the first answer may be kept.
      for (let time = 0; time < 2; time++) {
        const { status, reached } = await ask(port, token, { headers })
        expect([name, status, reached]).toEqual([name, 401, false])
      }
    }
  })
}
