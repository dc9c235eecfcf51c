import { exchange, refuseUnless } from '../download.ts'
import { backOff } from './back-off.ts'
import type { Surroundings } from './surroundings.ts'

/** Milliseconds: one look a second, and a receipt every five seconds if nothing has changed. */
const LOOK_EVERY = 1000
const SEND_EVERY = 5000

/**
 * Tells the issuer up to where this verifier holds the feed, and which keys it has: operators see whether a logout has
 * arrived, and a planned change of keys can wait for those who do not have the next one.
 */
export function createReceipts({
  base,
  credentials,
  fetch,
  timeoutMs,
  view,
  instance = crypto.randomUUID(),
  kids,
  monotonic,
  after,
  report,
}: Surroundings & { instance: string | undefined; kids(): string[] }): { close(): void } {
  const url = `${base}/.well-known/revocations/receipts`
  const limits = { fetch, timeoutMs, maxBytes: 0 }
  let sent: { body: string; at: number } | undefined
  let isClosed = false
  let callOff = (): void => {}

  /** @returns after how long the issuer wants to hear of it again, in milliseconds. */
  const send = async (): Promise<number> => {
    const place = view.place()
    if (!place) return 0
    const body = JSON.stringify({ ...place, kids: kids(), instance })
    if (body === sent?.body && monotonic() - sent.at < SEND_EVERY) return 0
    sent = { body, at: monotonic() }
    let retryAfter: string | null = null
    try {
      const headers = { ...(await credentials.forFeed()), 'content-type': 'application/json' }
      const answer = await exchange(url, { method: 'POST', headers, body }, limits)
      if (answer.status === 401 || answer.status === 429) credentials.refused()
      retryAfter = answer.headers.get('retry-after')
      refuseUnless(204, url, answer)
    } catch (error) {
      report('the receipt', error)
    }
    return retryAfter ? backOff(1, retryAfter) : 0
  }

  const look = async (): Promise<void> => {
    const asked = await send()
    if (!isClosed) callOff = after(Math.max(LOOK_EVERY, asked), () => void look())
  }

  void look()
  return {
    close: () => {
      isClosed = true
      callOff()
    },
  }
}
