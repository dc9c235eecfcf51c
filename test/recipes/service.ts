import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OrdersIssuer } from './issuer.ts'
import { ORIGIN, type Service } from './start.ts'

interface Ask {
  method?: string
  path?: string
  token?: string
  authorization?: string
  origin?: string
}

/**
 * What every recipe of a service promises, asked over HTTP.
 * @param start the service, for that issuer, with these settings besides.
 * @throws AssertionError with what was asked.
 */
export async function tryService(
  issuer: OrdersIssuer,
  start: (credentials: Record<string, string>) => Promise<Service>,
  { withoutFeed }: { withoutFeed?: true | undefined } = {},
): Promise<void> {
  await issuer.start()
  const clerk = await issuer.signIn('clerk')
  const good = { clerk, reader: await issuer.signIn('visitor', { scope: 'account' }) }
  const bad = {
    ofAnotherService: await issuer.signIn('clerk', { audience: 'invoices' }),
    forged: `${clerk.slice(0, -20)}${'A'.repeat(20)}`,
    ofUnknownKey: withUnknownKey(clerk),
  }

  const client = await issuer.registerService()
  await issuer.stop()
  await using service = await start({ CLIENT_ID: client.id, CLIENT_SECRET: client.secret })
  await keepsSessionsWithoutKeys(service, clerk)
  await issuer.start()
  await recovers(service, clerk)
  await answersAsRfc6750(service, good, bad)
  await letsPagesCall(service, clerk)
  if (!withoutFeed) {
    await hearsOfSignOuts(issuer, service)
    ok(await client.isProved(), 'the service used its credentials')
  }

  await issuer.stop()
  // Keys have been to be read again since.
  await sleep(2500)
  equal((await ask(service, { token: clerk })).status, 200, 'a good token, without the issuer')
  equal((await ask(service, { token: bad.forged })).status, 401, 'a forged token, without the issuer')
  equal((await ask(service, { token: good.reader, method: 'POST' })).status, 403, 'no scope, without the issuer')
  const unknown = (await ask(service, { token: bad.ofUnknownKey })).status
  ok(unknown === 401 || unknown === 503, `an unknown key, without the issuer: ${unknown}`)
}

/** Started while the issuer is down, a service knows nothing of tokens: a 401 would sign everybody out. */
async function keepsSessionsWithoutKeys(service: Service, token: string): Promise<void> {
  equal((await ask(service, { path: '/health' })).status, 200, 'the public route, before there are keys')
  const answer = await ask(service, { token })
  equal(answer.status, 503, 'a good token, before there are keys')
  match(answer.headers.get('retry-after') ?? '', /^\d+$/)
  equal((await ask(service, {})).status, 401, 'no token, before there are keys')
}

async function recovers(service: Service, token: string): Promise<void> {
  const deadline = performance.now() + 40_000
  for (;;) {
    const { status } = await ask(service, { token })
    if (status === 200) return
    equal(status, 503, 'a good token, until the keys are there')
    if (performance.now() > deadline) throw new Error(`the service never read the keys:\n${service.output()}`)
    await sleep(200)
  }
}

async function answersAsRfc6750(
  service: Service,
  { clerk, reader }: { clerk: string; reader: string },
  bad: Record<string, string>,
): Promise<void> {
  const mine = await ask(service, { token: clerk })
  equal(mine.status, 200)
  deepEqual(await mine.json(), { of: subjectOf(clerk) })

  for (const authorization of [undefined, 'Basic YWRhOnNlY3JldA==']) {
    const none = await ask(service, authorization === undefined ? {} : { authorization })
    equal(none.status, 401, `authorization: ${authorization}`)
    match(challengeOf(none), /^Bearer\b/)
    ok(!challengeOf(none).includes('error'), '§3.1: no error code where no token was sent')
  }
  for (const [name, token] of Object.entries(bad)) {
    for (const method of ['GET', 'POST', 'DELETE']) {
      const refused = await ask(service, { token, method })
      equal(refused.status, 401, `${method} with a token that is bad: ${name}`)
      match(challengeOf(refused), /^Bearer .*error="invalid_token"/)
    }
  }

  match(service.output(), /audience|\baud claim|is for \\*"invoices/i, 'the log says why a token was refused')

  const scope = await ask(service, { method: 'POST', token: reader })
  equal(scope.status, 403, 'a token without the scope')
  match(challengeOf(scope), /^Bearer .*error="insufficient_scope"/)
  match(challengeOf(scope), /scope="orders:write"/)
  equal((await ask(service, { method: 'POST', token: clerk })).status, 201, 'a token with the scope')

  const role = await ask(service, { method: 'DELETE', token: reader })
  equal(role.status, 403, 'a token without the role')
  match(challengeOf(role), /^Bearer .*error="insufficient_scope"/)
  equal((await ask(service, { method: 'DELETE', token: clerk })).status, 204, 'a token with the role')
}

/** A session that ends takes its token along, and no other session's. */
async function hearsOfSignOuts(issuer: OrdersIssuer, service: Service): Promise<void> {
  const [ended, other] = [await issuer.signIn('visitor'), await issuer.signIn('visitor')]
  equal((await ask(service, { token: ended })).status, 200, 'before the sign-out')
  const url = `${issuer.url}/sessions/${String(partOf(ended, 1).sid)}`
  const { ok: isEnded } = await fetch(url, { method: 'DELETE', headers: { authorization: `Bearer ${ended}` } })
  ok(isEnded, 'the session is ended')
  const deadline = performance.now() + 20_000
  for (;;) {
    const answer = await ask(service, { token: ended })
    if (answer.status === 401) {
      match(challengeOf(answer), /^Bearer .*error="invalid_token"/)
      break
    }
    if (performance.now() > deadline) throw new Error(`the service never heard of the sign-out:\n${service.output()}`)
    await sleep(50)
  }
  equal((await ask(service, { token: other })).status, 200, 'another session of the same user')
}

async function letsPagesCall(service: Service, token: string): Promise<void> {
  const preflight = (origin: string) =>
    fetch(`${service.url}/orders`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    })
  const allowed = await preflight(ORIGIN)
  ok(allowed.ok, `a preflight: ${allowed.status}`)
  equal(allowed.headers.get('access-control-allow-origin'), ORIGIN)
  match(allowed.headers.get('access-control-allow-headers') ?? '', /authorization/i)
  match(allowed.headers.get('access-control-allow-methods') ?? '', /POST/)
  const foreign = await preflight('https://elsewhere.example')
  ok(!['*', 'https://elsewhere.example'].includes(foreign.headers.get('access-control-allow-origin') ?? ''))

  // A page has to be able to read a refusal, too.
  for (const asked of [{ token }, {}, { token: 'x.y.z' }]) {
    const answer = await ask(service, { ...asked, origin: ORIGIN })
    equal(answer.headers.get('access-control-allow-origin'), ORIGIN, `an answer ${answer.status} to a page`)
    match(answer.headers.get('access-control-expose-headers') ?? '', /www-authenticate/i)
  }
}

function ask(service: Service, { method = 'GET', path = '/orders', token, authorization, origin }: Ask) {
  const headers: Record<string, string> = {}
  if (token !== undefined) headers.authorization = `Bearer ${token}`
  if (authorization !== undefined) headers.authorization = authorization
  if (origin !== undefined) headers.origin = origin
  return fetch(service.url + path, { method, headers })
}

const challengeOf = (answer: Response): string => answer.headers.get('www-authenticate') ?? ''

const partOf = (token: string, index: number): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split('.')[index] ?? '', 'base64url').toString()) as Record<string, unknown>

const subjectOf = (token: string): unknown => partOf(token, 1).sub

function withUnknownKey(token: string): string {
  const header = { ...partOf(token, 0), kid: 'made-up' }
  return [Buffer.from(JSON.stringify(header)).toString('base64url'), ...token.split('.').slice(1)].join('.')
}
