import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Key, makeKey, makeProof } from './proof.ts'

/** A server as clients know it, and as this process reaches it. */
export interface Address {
  url: string
  inside: string
}

/** What the page is shown of a token: enough to tell two of them apart. */
export interface TokenFacts {
  /** Counts from 1 with every exchange. */
  number: number
  hint: string
  /** Of the access token that came with it. */
  accessHint: string
}

/** A server's answer to one of the two. */
export interface Outcome {
  status: number
  /** The problem's code, or the error of the challenge, where there is one. */
  code?: string
  /** Seconds to wait before another attempt, as the issuer says. */
  retryAfter?: number
  /** The token that came with the answer. */
  token?: TokenFacts
}

export interface Play {
  id: string
  /** `sid` of the phone's session, as it is in the list of sessions. */
  sessionId: string
  /** As the phone held them, one after the other. The thief has a copy of the first. */
  tokens: [Tokens, ...Tokens[]]
  /** Where the session is bound to one (DPoP). The thief has no copy of it. */
  key: Key | undefined
}

interface Tokens {
  refresh: string
  access: string
}

interface Request {
  method: 'GET' | 'POST'
  path: string
  agent: string
  body?: object
  /** Sent as Bearer, or with a key as DPoP. */
  accessToken?: string
  key?: Key | undefined
}

/** How the phone names itself: the list of sessions shows it. */
const PHONE = 'Claviger Demo Phone/1.0 (Android 16)'
const THIEF = 'curl/8.14.1'

/**
 * The phone signs in: a native client of the same user, with a session of its own. It keeps its tokens itself, so
 * somebody with a backup, a debugger or malware on the phone can copy them.
 * @param bound makes a key first, and binds the session to it
 */
export async function signPhoneIn(
  issuer: Address,
  account: { email: string; password: string },
  bound: boolean,
): Promise<{ outcome: Outcome; play?: Play }> {
  const key = bound ? makeKey() : undefined
  const body = { ...account, client_id: 'native' }
  const { outcome, tokens } = await ask(issuer, { method: 'POST', path: '/login', agent: PHONE, body, key })
  if (!tokens) return { outcome }
  const payload = tokens.access.split('.')[1] ?? ''
  const { sid } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { sid: string }
  return {
    outcome: { ...outcome, token: factsOf(1, tokens) },
    play: { id: randomUUID(), sessionId: sid, tokens: [tokens], key },
  }
}

/** The phone exchanges its present token, as it does every few minutes. */
export async function phoneRefreshes(issuer: Address, play: Play): Promise<Outcome> {
  const { outcome, tokens } = await refresh(issuer, present(play), PHONE, play.key)
  if (!tokens) return outcome
  play.tokens.push(tokens)
  return { ...outcome, token: factsOf(play.tokens.length, tokens) }
}

/** The thief presents the copy of the first token. @param key one of his own */
export async function thiefRefreshes(issuer: Address, play: Play, key?: Key): Promise<Outcome> {
  return (await refresh(issuer, play.tokens[0], THIEF, key)).outcome
}

export const thiefForges = (issuer: Address, play: Play): Promise<Outcome> => thiefRefreshes(issuer, play, makeKey())

/** The thief shows the orders service the copy of the access token. */
export async function thiefOrders(orders: Address, play: Play): Promise<Outcome> {
  const accessToken = play.tokens[0].access
  return (await ask(orders, { method: 'GET', path: '/orders', agent: THIEF, accessToken })).outcome
}

const LOOKS = 20
const LOOK_EVERY_MS = 150

/**
 * The phone asks for its orders with the access token that it has. If its session has ended, the service hears of that
 * within about a second, so it may have to be asked more than once until it refuses.
 */
export async function phoneOrders(orders: Address, play: Play): Promise<Outcome> {
  const request = { method: 'GET', path: '/orders', agent: PHONE, accessToken: present(play).access } as const
  for (let look = 1; ; look++) {
    const { outcome } = await ask(orders, { ...request, key: play.key })
    if (play.key || outcome.status !== 200 || look === LOOKS) return outcome
    await sleep(LOOK_EVERY_MS)
  }
}

const present = ({ tokens }: Play): Tokens => tokens.at(-1) ?? tokens[0]

const refresh = (issuer: Address, { refresh }: Tokens, agent: string, key: Key | undefined) =>
  ask(issuer, { method: 'POST', path: '/refresh', agent, body: { refresh_token: refresh }, key })

async function ask(server: Address, request: Request): Promise<{ outcome: Outcome; tokens?: Tokens }> {
  const { method, path, agent, body, accessToken, key } = request
  const idempotencyKey = randomUUID()
  const send = (nonce?: string) =>
    fetch(server.inside + path, {
      method,
      headers: {
        'user-agent': agent,
        'idempotency-key': idempotencyKey,
        ...(body ? { 'content-type': 'application/json' } : {}),
        ...(accessToken ? { authorization: `${key ? 'DPoP' : 'Bearer'} ${accessToken}` } : {}),
        ...(key
          ? {
              dpop: makeProof(key, method, server.url + path, {
                ...(accessToken && { accessToken }),
                ...(nonce && { nonce }),
              }),
            }
          : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
  let response = await send()
  const nonce = response.headers.get('dpop-nonce')
  // Some servers want proofs that were made just now (RFC 9449 §8), and say so with what has to be in them.
  if (key && nonce && !response.ok && (await codeOf(response.clone())) === 'use_dpop_nonce') {
    response = await send(nonce)
  }
  const { status } = response
  if (status === 200) {
    const found = (await response.json()) as { access_token?: string; refresh_token?: string }
    const { access_token: access, refresh_token: token } = found
    return access && token ? { outcome: { status }, tokens: { access, refresh: token } } : { outcome: { status } }
  }
  const code = await codeOf(response)
  const retryAfter = Number(response.headers.get('retry-after'))
  return { outcome: { status, ...(code ? { code } : {}), ...(retryAfter ? { retryAfter } : {}) } }
}

/** The issuer says it in its problem document, a service in its challenge. */
async function codeOf(response: Response): Promise<string | undefined> {
  const problem = (await response.json().catch(() => ({}))) as { code?: unknown }
  if (typeof problem.code === 'string' && /^[a-z_]+$/.test(problem.code)) return problem.code
  return /error="(\w+)"/.exec(response.headers.get('www-authenticate') ?? '')?.[1]
}

function factsOf(number: number, { refresh, access }: Tokens): TokenFacts {
  // The beginning of a JWT is the same in all of them.
  return { number, hint: `${refresh.slice(0, 8)}…${refresh.slice(-4)}`, accessHint: `eyJ…${access.slice(-6)}` }
}
