import { exchange, refuseUnless } from '../download.ts'
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

  const send = async (): Promise<void> => {
    const place = view.place()
    if (!place) return
    const body = JSON.stringify({ ...place, kids: kids(), instance })
    if (body === sent?.body && monotonic() - sent.at < SEND_EVERY) return
    sent = { body, at: monotonic() }
    try {
      const headers = { ...(await credentials.forFeed()), 'content-type': 'application/json' }
      const answer = await exchange(url, { method: 'POST', headers, body }, limits)
      if (answer.status === 401) credentials.refused()
      refuseUnless(204, url, answer)
    } catch (error) {
      report('the receipt', error)
    }
  }

  const look = async (): Promise<void> => {
    await send()
    if (!isClosed) callOff = after(LOOK_EVERY, () => void look())
  }

  void look()
  return {
    close: () => {
      isClosed = true
      callOff()
    },
  }
}
