import { constants, sign } from 'node:crypto'
import { createClient } from '../../sdk/browser/src/index.ts'
import type { Client, DpopKey, Options } from '../../sdk/browser/src/types.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { noteSecret } from '../support/canary.ts'
import { createProofKey } from '../support/dpop.ts'
import { freePort } from '../support/server.ts'

/** A server that is reached by the name that its tokens give it. */
export async function startIssuer(env: Record<string, string> = {}): Promise<{ t: TestApp; issuer: string }> {
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const t = await createTestApp({ env: { ISSUER: issuer, ...env } })
  await t.app.listen({ host: '127.0.0.1', port })
  return { t, issuer }
}

/** A request as the client sent it. */
export interface Sent {
  url: string
  path: string
  headers: Headers
  body: Record<string, unknown>
}

/** What happens to a request between the client and the server. Undefined: nothing. */
export type Interference = (sent: Sent, forward: () => Promise<Response>) => Promise<Response> | undefined

export interface Network {
  fetch: typeof fetch
  sent: Sent[]
  /** Requests for a path of the issuer. */
  to(path: string): Sent[]
  interfere: Interference | undefined
}

/** Everything that a client sends, with a place to disturb it. */
export function createNetwork(): Network {
  const network: Network = {
    sent: [],
    interfere: undefined,
    to: (path) => network.sent.filter((sent) => sent.path === path),
    fetch: async (input, init) => {
      const request = new Request(input, init)
      const text = await request.clone().text()
      const sent = {
        url: request.url,
        path: new URL(request.url).pathname,
        headers: new Headers(init?.headers ?? request.headers),
        body: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {},
      }
      network.sent.push(sent)
      const forward = () => fetch(request)
      return (await network.interfere?.(sent, forward)) ?? forward()
    },
  }
  return network
}

/** The server has done its work; the answer does not arrive. */
export const loseAnswers: Interference = async (_sent, forward) => {
  await (await forward()).text()
  throw new TypeError('the answer was lost')
}

export const only =
  (path: string, interfere: Interference): Interference =>
  (sent, forward) =>
    sent.path === path ? interfere(sent, forward) : undefined

export const answer =
  (status: number, body: unknown = {}, headers: Record<string, string> = {}): Interference =>
  async () =>
    new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers })

/** Access tokens of so many seconds, as far as the client knows. */
export const shorten =
  (seconds: number): Interference =>
  async (sent, forward) => {
    const response = await forward()
    if (!response.ok || (sent.path !== '/login' && sent.path !== '/refresh')) return response
    return Response.json({ ...((await response.json()) as object), expires_in: seconds })
  }

/** Outlives the client, as a keychain outlives an app. */
export function createStorage() {
  const items = new Map<string, string>()
  const record = () => JSON.parse([...items.values()][0] ?? '{}') as { token?: string; key?: string }
  return {
    items,
    get: async (name: string) => items.get(name) ?? null,
    set: async (name: string, value: string) => {
      items.set(name, value)
    },
    remove: async (name: string) => {
      items.delete(name)
    },
    /** The one record of the one client, for looking at. */
    record,
    change: (changes: object) => {
      for (const name of items.keys()) items.set(name, JSON.stringify({ ...record(), ...changes }))
    },
  }
}

/** A key as a device holds it: whoever has the object can have it sign, and nothing more. */
export function deviceKey(alg: NonNullable<DpopKey['alg']> = 'ES256'): DpopKey & { jkt: string } {
  const { jkt, jwk, privateKey } = createProofKey(alg)
  const digest = alg === 'Ed25519' ? null : `sha${alg.slice(2)}`
  const rsa = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
  return {
    jkt,
    alg,
    publicJwk: () => jwk,
    sign: (bytes) =>
      sign(digest, bytes, { key: privateKey, dsaEncoding: 'ieee-p1363', ...(alg === 'PS256' ? rsa : {}) }),
  }
}

export interface Device {
  network: Network
  storage: ReturnType<typeof createStorage>
  client: Client
  /** The app ends here and starts again. */
  restart(): Client
}

/** An app on a phone or a terminal: body delivery, a storage of its own, a network that can fail. */
export function createDevice(issuer: string, options: Partial<Options> = {}): Device {
  const network = createNetwork()
  const storage = createStorage()
  const start = () => createClient({ issuer, storage, fetch: network.fetch, ...options })
  const device: Device = { network, storage, client: start(), restart: () => (device.client = start()) }
  return device
}

export async function signUp(device: Device, email = `user-${crypto.randomUUID()}@example.com`) {
  const password = `a phrase of ${crypto.randomUUID()}`
  noteSecret(password)
  await device.client.register({ email, password })
  const user = await device.client.login({ email, password })
  return { email, password, user }
}
