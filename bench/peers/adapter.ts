import type { Answer } from '../connection.ts'

export interface User {
  email: string
  password: string
}

/** A request without what the load adds: host and length. */
export interface Message {
  method: 'GET' | 'POST'
  /** Below the server's URL. */
  path: string
  headers?: Record<string, string>
  body?: string
}

/** How one kind of server is spoken to. What it cannot do is absent, and its row is left out. */
export interface Adapter {
  name: string
  url: URL
  /** Before the measurement. @throws Error if the account is not there afterwards. */
  createUser?(user: User): Promise<void>
  signIn?(user: User): Message
  /** Exchanges what the last answer of this session gave. */
  refresh?(credential: string): Message
  clientCredentials?(): Message
  /**
   * What the next refresh presents, out of the answer to a sign-in or to a refresh that presented `presented`.
   * @returns undefined if the answer is not that of a success.
   */
  credentialIn(answer: Answer, presented?: string): string | undefined
  /** Sessions that were made elsewhere, for servers where accounts cannot sign in over HTTP alone. */
  credentials?: string[]
}

export function json(path: string, content: unknown, headers: Record<string, string> = {}): Message {
  return {
    method: 'POST',
    path,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(content),
  }
}

export function form(path: string, fields: Record<string, string>, headers: Record<string, string> = {}): Message {
  return {
    method: 'POST',
    path,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams(fields).toString(),
  }
}

/** A string member of a JSON answer, without the cost of parsing the rest. */
export function member(answer: Answer, name: string): string | undefined {
  if (answer.status !== 200 && answer.status !== 201) return undefined
  return new RegExp(`"${name}" ?: ?"([^"]+)"`).exec(answer.body)?.[1]
}

/** For what comes before the measurement. @throws Error with the server's answer unless it is of success. */
export async function call(base: URL, { method, path, headers = {}, body }: Message): Promise<string> {
  const url = below(base, path)
  const answer = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) }).catch((cause) => {
    throw new Error(`${url} does not answer`, { cause })
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 300)}`)
  return text
}

/** The URL may have a path of its own, behind which a proxy has put the server. */
export const below = (base: URL, path: string): string => `${base.href.replace(/\/$/, '')}${path}`

/** As bytes on the wire. */
export function render(base: URL, { method, path, headers = {}, body = '' }: Message): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const length = method === 'GET' ? '' : `content-length: ${Buffer.byteLength(body)}\r\n`
  const target = `${base.pathname.replace(/\/$/, '')}${path}`
  return `${method} ${target} HTTP/1.1\r\nhost: ${base.host}\r\n${lines.join('')}${length}\r\n${body}`
}
