import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

/** What the page is shown of a token: enough to tell two of them apart. */
export interface TokenFacts {
  /** Counts from 1 with every exchange. */
  number: number
  hint: string
}

/** The issuer's answer to one of the two. */
export interface Outcome {
  status: number
  /** The problem's code, where there is one. */
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
  tokens: [string, ...string[]]
  /** The last that the phone was given. */
  accessToken: string
}

/** How the phone names itself: the list of sessions shows it. */
const PHONE = 'Claviger Demo Phone/1.0 (Android 16)'
const THIEF = 'curl/8.14.1'

/**
 * The phone signs in: a native client of the same user, with a session of its own. It keeps its refresh token itself, so
 * somebody with a backup, a debugger or malware on the phone can copy it.
 * @param issuer base URL
 */
export async function signPhoneIn(
  issuer: string,
  account: { email: string; password: string },
): Promise<{ outcome: Outcome; play?: Play }> {
  const { outcome, reply } = await post(issuer, '/login', { ...account, client_id: 'native' }, PHONE)
  if (!reply) return { outcome }
  const payload = reply.access_token.split('.')[1] ?? ''
  const { sid } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { sid: string }
  return {
    outcome: { ...outcome, token: factsOf(1, reply.refresh_token) },
    play: { id: randomUUID(), sessionId: sid, tokens: [reply.refresh_token], accessToken: reply.access_token },
  }
}

/** The phone exchanges its present token, as it does every few minutes. */
export async function phoneRefreshes(issuer: string, play: Play): Promise<Outcome> {
  const present = play.tokens.at(-1) ?? play.tokens[0]
  const { outcome, reply } = await post(issuer, '/refresh', { refresh_token: present }, PHONE, randomUUID())
  if (!reply) return outcome
  play.tokens.push(reply.refresh_token)
  play.accessToken = reply.access_token
  return { ...outcome, token: factsOf(play.tokens.length, reply.refresh_token) }
}

/** The thief presents the copy of the first token. */
export async function thiefReplays(issuer: string, play: Play): Promise<Outcome> {
  return (await post(issuer, '/refresh', { refresh_token: play.tokens[0] }, THIEF, randomUUID())).outcome
}

const LOOKS = 20
const LOOK_EVERY_MS = 150

/**
 * The phone asks for its orders with the access token that it still has. Its session has ended: the service hears of that
 * within about a second, so it may have to be asked more than once until it refuses.
 * @param orders base URL of the service
 */
export async function phoneOrders(orders: string, play: Play): Promise<Outcome> {
  const headers = { authorization: `Bearer ${play.accessToken}`, 'user-agent': PHONE }
  for (let look = 1; ; look++) {
    const response = await fetch(`${orders}/orders`, { headers })
    const { status } = response
    await response.text()
    if (status !== 200 || look === LOOKS) {
      const code = /error="(\w+)"/.exec(response.headers.get('www-authenticate') ?? '')?.[1]
      return { status, ...(code ? { code } : {}) }
    }
    await sleep(LOOK_EVERY_MS)
  }
}

interface TokenReply {
  access_token: string
  refresh_token: string
}

async function post(
  issuer: string,
  path: string,
  body: object,
  userAgent: string,
  idempotencyKey?: string,
): Promise<{ outcome: Outcome; reply?: TokenReply }> {
  const response = await fetch(issuer + path, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': userAgent,
      ...(idempotencyKey ? { 'idempotency-key': idempotencyKey } : {}),
    },
    body: JSON.stringify(body),
  })
  const { status } = response
  const found = (await response.json()) as TokenReply & { code?: string }
  if (status === 200) return { outcome: { status }, reply: found }
  const retryAfter = Number(response.headers.get('retry-after'))
  return { outcome: { status, ...(found.code ? { code: found.code } : {}), ...(retryAfter ? { retryAfter } : {}) } }
}

function factsOf(number: number, token: string): TokenFacts {
  return { number, hint: `${token.slice(0, 8)}…${token.slice(-4)}` }
}
