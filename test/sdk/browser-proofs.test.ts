import { decodeJwt, EmbeddedJWK, jwtVerify } from 'jose'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createProver } from '../../sdk/browser/src/dpop/prover.ts'
import { ClavigerError } from '../../sdk/browser/src/index.ts'
import { forFile } from '../support/for-file.ts'
import {
  answer,
  createDevice,
  type Device,
  deviceKey,
  type Interference,
  loseAnswers,
  only,
  type Sent,
  signUp,
  startIssuer,
} from './browser-support.ts'

// What the browser package makes of refused proofs: nonces, clocks, and what can be sent again.

const { t, issuer } = await startIssuer()
forFile(t)
const strict = await startIssuer({ DPOP_NONCE: 'required' })
forFile(strict.t)
afterEach(() => {
  vi.unstubAllGlobals()
})
const ORDERS = 'https://orders.example'

const boundDevice = (at: string, key = deviceKey()): Device =>
  createDevice(at, { dpop: { key }, resources: [ORDERS, 'https://other.example'] })
const claimsOf = ({ headers }: Sent) => decodeJwt<{ nonce?: string; jti: string }>(headers.get('dpop') ?? '')
const nonces = (sent: Sent[]) => sent.map((each) => claimsOf(each).nonce)

/** A service that takes no proof without its present nonce. */
function nonceService() {
  const service = { nonce: 'first', challenge: 'DPoP error="use_dpop_nonce"' }
  const interfere = async (sent: Sent): Promise<Response> => {
    const isGood = claimsOf(sent).nonce === service.nonce
    const headers = { 'dpop-nonce': service.nonce, ...(isGood ? {} : { 'www-authenticate': service.challenge }) }
    return new Response('{}', { status: isGood ? 200 : 401, headers })
  }
  return Object.assign(service, { interfere })
}

describe('nonces of the issuer', () => {
  test('a request that lacks one is sent once more, as the same request with another proof', async () => {
    const device = boundDevice(strict.issuer)
    const { user } = await signUp(device)
    const { client, network } = device
    expect(nonces(network.to('/login'))).toEqual([undefined, expect.any(String)])
    // Long afterwards: what was remembered is not worth a try.
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 31_000)
    expect(await client.refresh()).toEqual(user)
    const [first, second, ...more] = network.to('/refresh') as [Sent, Sent]
    expect(more).toEqual([])
    expect(nonces([first, second])).toEqual([undefined, expect.any(String)])
    expect(claimsOf(first).jti).not.toBe(claimsOf(second).jti)
    expect(second.headers.get('idempotency-key')).toBe(first.headers.get('idempotency-key'))
    expect(second.body).toEqual(first.body)
    // And at once with the one that has just come.
    expect((await client.fetch(`${strict.issuer}/me`)).status).toBe(200)
    expect(network.to('/me')).toHaveLength(1)
  })

  test('an issuer that is never content is asked twice', async () => {
    const device = boundDevice(issuer)
    await signUp(device)
    let count = 0
    device.network.interfere = async () =>
      Response.json({ code: 'use_dpop_nonce' }, { status: 400, headers: { 'dpop-nonce': `n${count++}` } })
    await expect(device.client.refresh()).rejects.toMatchObject({ code: 'use_dpop_nonce', status: 400 })
    expect(device.network.to('/refresh')).toHaveLength(2)
    device.network.interfere = answer(400, { code: 'use_dpop_nonce' })
    await expect(device.client.refresh(), 'without a nonce').rejects.toMatchObject({ code: 'use_dpop_nonce' })
    expect(device.network.to('/refresh')).toHaveLength(3)
  })

  test('an answer that was lost is asked for again beyond the grace, by its Idempotency-Key and a current nonce', async () => {
    const device = boundDevice(strict.issuer)
    const { user } = await signUp(device)
    device.network.interfere = only('/refresh', (sent, forward) => {
      device.network.interfere = answer(400)
      return loseAnswers(sent, forward)
    })
    await expect(device.client.refresh()).rejects.toMatchObject({ code: 'unexpected' })
    device.network.interfere = undefined
    device.network.sent.length = 0
    // Of this process, and so of the server too.
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 40_000)
    expect(await device.restart().ready).toEqual(user)
    expect(nonces(device.network.to('/refresh'))).toEqual([undefined, expect.any(String)])
  })
})

describe('nonces of services', () => {
  test('each origin has its own, and the newest one counts', async () => {
    const device = boundDevice(issuer)
    await signUp(device)
    const { client, network } = device
    const [orders, other] = [nonceService(), nonceService()]
    other.nonce = 'of-another'
    network.sent.length = 0
    network.interfere = (sent) => (sent.url.startsWith(ORDERS) ? orders : other).interfere(sent)
    const ask = async (url: string) => (await client.fetch(url)).status
    expect([await ask(ORDERS), await ask('https://other.example'), await ask(ORDERS)]).toEqual([200, 200, 200])
    orders.nonce = 'second'
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 60_000)
    expect([await ask(ORDERS), await ask('https://other.example')]).toEqual([200, 200])
    expect(nonces(network.sent)).toEqual([
      undefined,
      'first',
      undefined,
      'of-another',
      'first',
      'first',
      'second',
      'of-another',
    ])
  })

  test('a nonce counts for nothing in a refusal of the token, and a stream is not sent again', async () => {
    const device = boundDevice(issuer)
    await signUp(device)
    const { client, network } = device
    const service = nonceService()
    network.sent.length = 0
    network.interfere = only('/orders', service.interfere)
    const body = new Blob(['x']).stream()
    const streamed = { method: 'POST', body, duplex: 'half' } as RequestInit
    expect((await client.fetch(`${ORDERS}/orders`, streamed)).status).toBe(401)
    expect(nonces(network.to('/orders'))).toEqual([undefined])

    service.nonce = 'second'
    network.sent.length = 0
    expect((await client.fetch(`${ORDERS}/orders`, { method: 'POST', body: 'x' })).status).toBe(200)
    expect((await client.fetch(new Request(`${ORDERS}/orders`, { method: 'POST', body: 'y' }))).status).toBe(200)
    expect(nonces(network.sent)).toEqual(['first', 'second', 'second'])

    service.nonce = 'third'
    service.challenge = 'DPoP error="invalid_token"'
    network.sent.length = 0
    // By the rule for tokens, which asks the issuer in between.
    await client.fetch(`${ORDERS}/orders`)
    expect(network.sent.map(({ path }) => path)).toEqual(['/orders', '/refresh', '/orders'])
  })

  test('a body goes out again whole', async () => {
    const device = boundDevice(issuer)
    await signUp(device)
    const { client, network } = device
    const service = nonceService()
    network.interfere = service.interfere
    const text = '{"item":"pen"}'
    for (const [nonce, body] of Object.entries({
      text,
      blob: new Blob([text]),
      bytes: new TextEncoder().encode(text),
    })) {
      for (const make of [
        () => client.fetch(`${ORDERS}/a`, { method: 'POST', body }),
        () => client.fetch(new Request(`${ORDERS}/a`, { method: 'POST', body })),
      ]) {
        service.nonce += nonce
        network.sent.length = 0
        expect((await make()).status).toBe(200)
        expect(network.sent.map((sent) => sent.body)).toEqual([{ item: 'pen' }, { item: 'pen' }])
      }
    }
  })
})

describe('clocks', () => {
  /** The issuer by another clock, as its replies tell. */
  const shifted =
    (seconds: number): Interference =>
    async (_sent, forward) => {
      const response = await forward()
      const headers = new Headers(response.headers)
      headers.set('date', new Date(Date.now() + seconds * 1000).toUTCString())
      return new Response(response.body, { status: response.status, headers })
    }

  test.for([600, -600])('a clock that is %i seconds off costs one proof, and no sign-in', async (seconds) => {
    const own = await startIssuer()
    try {
      const device = boundDevice(own.issuer)
      own.t.travel(seconds)
      device.network.interfere = shifted(seconds)
      const { user } = await signUp(device)
      expect(await device.client.refresh()).toEqual(user)
      expect((await device.client.fetch(`${own.issuer}/me`)).status).toBe(200)
      expect(['/login', '/refresh', '/me'].map((path) => device.network.to(path).length)).toEqual([2, 1, 1])
    } finally {
      await own.t[Symbol.asyncDispose]()
    }
  })

  test('a proof that is refused for something else is not sent again', async () => {
    const device = boundDevice(issuer)
    await signUp(device)
    device.network.interfere = only(
      '/refresh',
      answer(400, { code: 'invalid_dpop_proof' }, { date: new Date().toUTCString() }),
    )
    expect(await device.client.refresh()).toBeNull()
    expect(device.client.cause).toBe('key-lost')
    expect(device.network.to('/refresh')).toHaveLength(1)
  })
})

test('without WebCrypto, as in React Native, the caller’s functions are enough', async () => {
  const { subtle } = crypto
  const key = {
    ...deviceKey(),
    sha256: async (bytes: Uint8Array<ArrayBuffer>) => new Uint8Array(await subtle.digest('SHA-256', bytes)),
  }
  const sent: Headers[] = []
  const send = async (_input: unknown, init?: RequestInit) => {
    sent.push(new Headers(init?.headers))
    return Response.json({})
  }
  vi.stubGlobal('crypto', undefined)
  const prover = createProver('name', issuer, { key: key as never }, send, ClavigerError)
  await prover.prepare()
  await prover.send(`${issuer}/login`, { method: 'POST' })
  vi.unstubAllGlobals()
  expect(prover.binding(undefined)).toEqual({ jkt: key.jkt, bound: false })
  const { payload } = await jwtVerify(sent[0]?.get('dpop') ?? '', EmbeddedJWK)
  expect(payload.jti).toMatch(/^0\.\d+0\.\d+$/)
})
