import { toBase64Url } from './bytes.ts'
import { ClavigerError, isOver } from './errors.ts'
import { type Held, hold } from './held.ts'
import type { Post } from './issuer.ts'
import type { Settings } from './options.ts'
import { derive } from './secrets.ts'
import type { Visit } from './types.ts'

/** The most exchanges that a process remembers. */
const MOST = 10_000
/** Long enough for the requests that the browser sent before it had the new cookie. */
const KEEP_MS = 10_000
const KEEP_REFUSAL_MS = 60_000
const KEEP_TROUBLE_MS = 1000
const LONGEST_TROUBLE_MS = 60_000
const ATTEMPTS = 2
const QUICK_MS = 2000

/** A session as it came in a cookie. */
export interface Found {
  /** The name of the cookie. */
  name: string
  held: Held
  /** The secret that the cookie was sealed with. */
  secret: CryptoKey
}

export type Outcome =
  | { kind: 'renewed'; held: Held; sealed: string }
  /** The issuer says that the session has ended. */
  | { kind: 'over' }
  /** The issuer could not be asked. */
  | { kind: 'trouble'; error: ClavigerError }

export type Exchange = (found: Found, visit: Visit) => Promise<Outcome>

/**
 * Exchanges a refresh token once, however many requests come with it.
 *
 * Requests in one process share one exchange and, for some seconds, its answer. Across processes, restarts and lost
 * answers, all send the same `Idempotency-Key`, an HMAC of the token, so that the issuer takes them for one exchange
 * and gives all of them the same successor. The key of the HMAC is derived from the secret that the cookie was sealed
 * with, which all processes know, and not from the newest, which some may not have yet.
 */
export function createExchange(
  { issuer, clientId, audience, scope, onError }: Settings,
  post: Post,
  sealInto: (name: string, held: Held) => Promise<string>,
): Exchange {
  const answers = new Map<string, { outcome: Promise<Outcome>; until: number }>()

  const keyOf = async ({ held, secret }: Found): Promise<string> => {
    const info = `claviger idempotency key 1\n${issuer}\n${held.refreshToken}`
    return toBase64Url(await derive(secret, new Uint8Array(), info, 32))
  }

  async function ask({ name, held }: Found, key: string, visit: Visit): Promise<Outcome> {
    const sentAt = Date.now()
    const body = { refresh_token: held.refreshToken, client_id: clientId, audience, scope }
    const reply = await post('/refresh', body, visit, { 'idempotency-key': key })
    const renewed = hold(reply, sentAt, held.remember)
    return { kind: 'renewed', held: renewed, sealed: await sealInto(name, renewed) }
  }

  async function attempt(found: Found, key: string, visit: Visit): Promise<Outcome> {
    for (let attempts = 1; ; attempts++) {
      const startedAt = performance.now()
      try {
        return await ask(found, key, visit)
      } catch (error) {
        if (!(error instanceof ClavigerError)) throw error
        if (isOver(error)) return { kind: 'over' }
        // The connection broke: perhaps only the answer was lost.
        if (!error.status && attempts < ATTEMPTS && performance.now() - startedAt < QUICK_MS) {
          await sleep(100 + Math.random() * 200)
          continue
        }
        // Called apart, so that a failing log breaks neither the page nor the process.
        void Promise.resolve(error)
          .then(onError)
          .catch(() => {})
        return { kind: 'trouble', error }
      }
    }
  }

  return async (found, visit) => {
    const key = await keyOf(found)
    const known = answers.get(key)
    if (known && performance.now() < known.until) return known.outcome
    const outcome = attempt(found, key, visit)
    const answer = { outcome, until: Infinity }
    answers.delete(key)
    answers.set(key, answer)
    if (answers.size > MOST) answers.delete(answers.keys().next().value as string)
    const forgetAfter = (milliseconds: number) => {
      answer.until = performance.now() + milliseconds
      inBackground(() => answers.get(key) === answer && answers.delete(key), milliseconds)
    }
    outcome.then(
      (made) => forgetAfter(keepFor(made)),
      () => forgetAfter(0),
    )
    return outcome
  }
}

function keepFor(outcome: Outcome): number {
  if (outcome.kind === 'renewed') return KEEP_MS
  // The browser is told to delete the cookie. If it does not, its requests must not each cause another one to the
  // issuer.
  if (outcome.kind === 'over') return KEEP_REFUSAL_MS
  const { retryAfter } = outcome.error
  return retryAfter ? Math.min(retryAfter * 1000, LONGEST_TROUBLE_MS) : KEEP_TROUBLE_MS
}

const sleep = (milliseconds: number) =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })

/** Keeps no process alive. */
function inBackground(work: () => unknown, milliseconds: number): void {
  const timer: unknown = setTimeout(work, milliseconds)
  // In some runtimes a timer is a number.
  if (typeof timer === 'object') (timer as NodeJS.Timeout).unref()
}
