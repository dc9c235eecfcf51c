import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { noteSecret } from './canary.ts'
import { postJson } from './post-json.ts'

/**
 * A native client as it should be: one refresh at a time, one key per exchange, the same again until the answer is in. Or one
 * that knows of no keys, and comes again within the grace.
 */
export interface HonestClient {
  /** Exchanges its token, however often the server has to be asked. @throws if the server says 401. */
  refresh(): Promise<void>
  readonly token: string
  readonly accessToken: string
  /** Answers other than 200, by status; 0 stands for none at all. */
  readonly troubles: Map<number, number>
  readonly refreshes: number
}

/** A server that starts on a machine that is busy with other work takes half a minute. */
const PATIENCE_MS = 60_000

export function createHonestClient(options: {
  token: string
  accessToken: string
  /** Asked anew for each attempt: servers come and go. */
  server: () => string
  keyless?: boolean
  patienceMs?: number
}): HonestClient {
  const { server, keyless = false, patienceMs = PATIENCE_MS } = options
  let { token, accessToken } = options
  let refreshes = 0
  const troubles = new Map<number, number>()
  return {
    troubles,
    get token() {
      return token
    },
    get accessToken() {
      return accessToken
    },
    get refreshes() {
      return refreshes
    },
    refresh: async () => {
      const key = keyless ? undefined : randomUUID()
      const giveUpAt = performance.now() + patienceMs
      for (;;) {
        const answer = await attempt(`${server()}/refresh`, token, key)
        if (answer.status === 200) {
          token = answer.body.refresh_token
          accessToken = answer.body.access_token
          refreshes++
          return
        }
        troubles.set(answer.status, (troubles.get(answer.status) ?? 0) + 1)
        if (answer.status !== 0 && answer.status !== 503)
          throw new Error(`an honest client was answered ${answer.status} ${JSON.stringify(answer.body)}`)
        if (answer.status === 503 && !answer.retryAfter) throw new Error('503 without Retry-After')
        if (performance.now() > giveUpAt) throw new Error('the server did not come back')
        await sleep(20 + Math.random() * 60)
      }
    },
  }
}

interface Answer {
  status: number
  retryAfter: string | null
  body: { refresh_token: string; access_token: string }
}

async function attempt(url: string, token: string, key: string | undefined): Promise<Answer> {
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { 'idempotency-key': key }) },
      body: JSON.stringify({ refresh_token: token }),
      signal: AbortSignal.timeout(10_000),
    })
    return {
      status: answer.status,
      retryAfter: answer.headers.get('retry-after'),
      body: (await answer.json()) as Answer['body'],
    }
  } catch {
    return { status: 0, retryAfter: null, body: { refresh_token: '', access_token: '' } }
  }
}

/**
 * Refreshes with all clients, each one after the other, until the promise settles. In between each pauses for `pauseMs` on average: what
 * is waited for, such as the start of a process, needs the machine too. Without pauses there are queues everywhere.
 */
export async function storm(clients: HonestClient[], until: Promise<unknown>, { pauseMs = 40 } = {}): Promise<void> {
  let over = false
  const end = () => {
    over = true
  }
  until.then(end, end)
  await Promise.all(
    clients.map(async (client) => {
      while (!over) {
        await client.refresh()
        if (pauseMs > 0) await sleep(2 * pauseMs * Math.random())
      }
    }),
  )
}

/** Each client refreshes so often more. */
export async function progress(clients: HonestClient[], times: number): Promise<void> {
  const from = clients.map(({ refreshes }) => refreshes)
  while (!clients.every(({ refreshes }, index) => refreshes >= (from[index] ?? 0) + times)) await sleep(5)
}

/** The first exchange of any client that is answered from now on. @returns milliseconds until then. */
export async function firstSuccess(clients: HonestClient[]): Promise<number> {
  const begun = performance.now()
  const from = clients.map(({ refreshes }) => refreshes)
  while (!clients.some(({ refreshes }, index) => refreshes > (from[index] ?? 0))) await sleep(5)
  return performance.now() - begun
}

/** Answers of one status that the clients met; 0 stands for none at all. */
export const met = (clients: HonestClient[], status: number): number =>
  clients.reduce((total, client) => total + (client.troubles.get(status) ?? 0), 0)

/**
 * Registers a user over HTTP and signs in `sessions` times as a native client. Who is told 503 comes again, unless it is `strict`: on a machine
 * that is busy with other work some are.
 */
export async function signUpOver(
  url: string,
  sessions: number,
  { strict = false } = {},
): Promise<{ email: string; password: string; tokens: { token: string; accessToken: string }[] }> {
  const patience = strict ? 0 : PATIENCE_MS
  const password = `a phrase of ${randomUUID()}`
  noteSecret(password)
  let email = ''
  await post(patience, `${url}/register`, 201, () => {
    // Another one each time: what was answered 503 may have been done.
    email = `user-${randomUUID()}@example.com`
    return { email, password }
  })
  const tokens: { token: string; accessToken: string }[] = []
  for (let i = 0; i < sessions; i++) {
    const reply = await post(patience, `${url}/login`, 200, () => ({ email, password, client_id: 'native' }))
    tokens.push({ token: String(reply.refresh_token), accessToken: String(reply.access_token) })
  }
  return { email, password, tokens }
}

async function post(
  patienceMs: number,
  url: string,
  expected: number,
  body: () => object,
): Promise<Record<string, unknown>> {
  const giveUpAt = performance.now() + patienceMs
  for (;;) {
    const answer = await postJson(url, body())
    const text = await answer.text()
    if (answer.status === expected) return JSON.parse(text) as Record<string, unknown>
    if (answer.status !== 503 || performance.now() > giveUpAt)
      throw new Error(`${url} was answered ${answer.status}: ${text}`)
    await sleep(200)
  }
}
