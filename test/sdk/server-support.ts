import { randomBytes } from 'node:crypto'
import { createServerClient, type Options, type ServerClient } from '../../sdk/server/src/index.ts'
import { noteSecret } from '../support/canary.ts'
import { createNetwork, type Network } from './browser-support.ts'

export const SITE = 'https://shop.example.com'

export const makeSecret = (): string => {
  const secret = randomBytes(32).toString('base64')
  noteSecret(secret)
  return secret
}

export interface TestSite {
  network: Network
  options: Options
  client: ServerClient
  /** Another process of the site, or the same after a restart. */
  another(changes?: Partial<Options>): ServerClient
}

export function createSite(issuer: string, changes: Partial<Options> = {}): TestSite {
  const network = createNetwork()
  const options: Options = { issuer, site: SITE, secret: makeSecret(), fetch: network.fetch, ...changes }
  const another = (more: Partial<Options> = {}) => createServerClient({ ...options, ...more })
  return { network, options, client: another(), another }
}

/** Somebody's browser, as far as cookies of one site go. */
export function createVisitor(origin = SITE) {
  const cookies = new Map<string, string>()
  const visitor = {
    cookies,
    /** A request as it would be sent now. */
    request: (path = '/', init: RequestInit = {}): Request => {
      const headers = new Headers(init.headers)
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      if (cookie) headers.set('cookie', cookie)
      return new Request(origin + path, { ...init, headers })
    },
    post: (path: string, body?: unknown, headers: Record<string, string> = {}): Request =>
      visitor.request(path, {
        method: 'POST',
        headers: { origin, 'sec-fetch-site': 'same-origin', 'content-type': 'application/json', ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    /** An answer arrives. */
    take: (setCookies: string[] | Response): void => {
      for (const line of setCookies instanceof Response ? setCookies.headers.getSetCookie() : setCookies) {
        const [pair = '', ...attributes] = line.split('; ')
        const [name = '', value = ''] = pair.split('=')
        if (attributes.includes('Max-Age=0')) cookies.delete(name)
        else cookies.set(name, value)
      }
    },
    /** Names and values of session cookies; the pointer left out. */
    sessions: (): [string, string][] => [...cookies].filter(([name]) => name.includes('.')),
  }
  return visitor
}
export type Visitor = ReturnType<typeof createVisitor>

export async function signUp({ client }: TestSite, visitor: Visitor, remember = false) {
  const credentials = {
    email: `user-${crypto.randomUUID()}@example.com`,
    password: `a phrase of ${crypto.randomUUID()}`,
  }
  noteSecret(credentials.password)
  await client.register(credentials, visitor.request())
  const { user, setCookies } = await client.signIn({ ...credentials, remember }, visitor.request())
  visitor.take(setCookies)
  return { ...credentials, user, setCookies }
}
