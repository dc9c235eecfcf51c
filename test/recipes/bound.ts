import { deepEqual, equal, match } from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'
import { json } from 'node:stream/consumers'
import { createProofKey, type ProofInput } from '../support/dpop.ts'
import type { OrdersIssuer } from './issuer.ts'
import { ORIGIN, type Service } from './start.ts'

interface Ask {
  method?: 'GET' | 'POST'
  path?: '/orders' | '/payments'
  authorization: string
  /** Values of the header DPoP. */
  proofs?: string[]
}

/**
 * What a service promises that takes tokens bound to a key, and at /payments no others.
 * @param service started with the command of its page, in which PUBLIC_URL has the host `localhost`.
 * @throws AssertionError with what was asked.
 */
export async function tryBound(issuer: OrdersIssuer, service: Service): Promise<void> {
  const [key, thiefs] = [createProofKey(), createProofKey()]
  const bound = await issuer.signIn('clerk', {}, key)
  const another = await issuer.signIn('clerk', {}, key)
  const unbound = await issuer.signIn('clerk')
  const url = `http://localhost:${service.port}/orders`
  const usual: ProofInput = { method: 'GET', url, accessToken: bound }
  const proof = (other: Partial<ProofInput> = {}) => key.proof({ ...usual, ...other })
  const ask = (asked: Ask) => send(service, asked)
  const withProof = (...proofs: string[]) => ask({ authorization: `DPoP ${bound}`, proofs })

  const mine = await withProof(proof())
  equal(mine.statusCode, 200, 'a bound token with its proof')
  deepEqual(Object.keys((await json(mine)) as object), ['of'])
  equal((await withProof(proof({ url: `${url}?page=2#top` }))).statusCode, 200, 'a proof whose URL has a query')
  const payment = key.proof({ ...usual, method: 'POST', url: url.replace('/orders', '/payments') })
  const paid = { method: 'POST', path: '/payments', authorization: `DPoP ${bound}`, proofs: [payment] } satisfies Ask
  equal((await ask(paid)).statusCode, 201, 'a bound token where it has to be one')
  equal((await ask({ authorization: `Bearer ${unbound}` })).statusCode, 200, 'an unbound token')

  const used = proof()
  equal((await withProof(used)).statusCode, 200)
  const now = Date.now() / 1000
  const refused: Record<string, Ask> = {
    'a stolen token as Bearer': { authorization: `Bearer ${bound}` },
    'a stolen token as Bearer, with a proof': { authorization: `Bearer ${bound}`, proofs: [proof()] },
    'a stolen token without a proof': { authorization: `DPoP ${bound}` },
    'an unbound token as DPoP': {
      authorization: `DPoP ${unbound}`,
      proofs: [proof({ accessToken: unbound })],
    },
    'an unbound token where it has to be bound': {
      method: 'POST',
      path: '/payments',
      authorization: `Bearer ${unbound}`,
    },
  }
  const bad: Record<string, string[]> = {
    'by a key of the thief’s': [thiefs.proof(usual)],
    'that came before': [used],
    'for another method': [proof({ method: 'POST' })],
    'for another path': [proof({ url: `${url}/1` })],
    'for another host': [proof({ url: url.replace('localhost', '127.0.0.1') })],
    'for another token': [proof({ accessToken: another })],
    'for no token': [key.proof({ method: 'GET', url })],
    'of two minutes ago': [proof({ iat: now - 120 })],
    'of two minutes ahead': [proof({ iat: now + 120 })],
    'with a private key in it': [proof({ header: { jwk: key.privateKey.export({ format: 'jwk' }) } })],
    'without a type': [proof({ header: { typ: undefined } })],
    'that asks for an extension': [proof({ header: { crit: ['exp'] } })],
    'that nobody has signed': [proof({ header: { alg: 'none' } })],
    'whose signature is of other content': [[...proof().split('.').slice(0, 2), used.split('.')[2]].join('.')],
    'of eight kilobytes': [proof({ claims: { padding: 'x'.repeat(8192) } })],
    'beside another': [proof(), proof()],
  }
  for (const [what, proofs] of Object.entries(bad)) {
    refused[`a proof ${what}`] = { authorization: `DPoP ${bound}`, proofs }
  }
  for (const [what, asked] of Object.entries(refused)) {
    const answer = await ask(asked)
    equal(answer.statusCode, 401, what)
    match(answer.headers['www-authenticate'] ?? '', /DPoP .*algs=/, what)
  }
  match(service.output(), /proof/, 'the log says why')
  equal((await withProof(proof())).statusCode, 200, 'the owner goes on')

  const preflight = await fetch(`${service.url}/orders`, {
    method: 'OPTIONS',
    headers: {
      origin: ORIGIN,
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'authorization,dpop',
    },
  })
  match(preflight.headers.get('access-control-allow-headers') ?? '', /dpop/i)
  const read = await fetch(`${service.url}/orders`, { headers: { origin: ORIGIN } })
  for (const name of [/dpop-nonce/i, /www-authenticate/i, /date/i]) {
    match(read.headers.get('access-control-expose-headers') ?? '', name)
  }
}

/** Not by `fetch`, which makes one header of two. */
async function send(service: Service, { method = 'GET', path = '/orders', authorization, proofs = [] }: Ask) {
  const headers: OutgoingHttpHeaders = { authorization, ...(proofs.length > 0 ? { dpop: proofs } : {}) }
  const asked = request(service.url + path, { method, headers }).end()
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  return answer
}
