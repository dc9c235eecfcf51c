/** A key set has a few hundred bytes per key, and metadata a few thousand. */
const MAX_BYTES = 256 * 1024

export type Fetch = (url: string, init: RequestInit) => Promise<Response>

export interface Download {
  /** undefined: there is no such document (404). */
  document: unknown
  /** How long it says that it may be relied on, in milliseconds. undefined: it does not say. */
  maxAge: number | undefined
}

/**
 * Gets a JSON document.
 * @throws Error whose message is fit for a log; Unanswered.
 */
export async function download(
  url: string,
  { fetch, timeoutMs }: { fetch: Fetch; timeoutMs: number },
): Promise<Download> {
  const limits = { fetch, timeoutMs, maxBytes: MAX_BYTES }
  const answer = await exchange(url, { headers: { accept: 'application/json' } }, limits)
  const maxAge = maxAgeOf(answer.headers)
  if (answer.status === 404) return { document: undefined, maxAge }
  refuseUnless(200, url, answer)
  try {
    return { document: JSON.parse(answer.text), maxAge }
  } catch {
    throw new Error(`${url} did not answer with JSON`)
  }
}

export interface Answer {
  status: number
  headers: Headers
  /** Of a 200 only. */
  text: string
  redirects: boolean
}

/**
 * Sends a request and reads the answer, which is data from outside, even from an issuer that is trusted: its size and its
 * time are limited, and it leads nowhere else.
 * @throws Error whose message is fit for a log; Unanswered.
 */
export async function exchange(
  url: string,
  init: RequestInit,
  limits: { fetch: Fetch; timeoutMs: number; maxBytes: number },
): Promise<Answer> {
  const signal = AbortSignal.timeout(limits.timeoutMs)
  try {
    // Raced as well, because a `fetch` of the caller's may not heed the signal.
    return await Promise.race([send(url, { ...init, signal }, limits), whenAborted(signal)])
  } catch (error) {
    if (signal.aborted) throw new Error(`${url} did not answer within ${limits.timeoutMs / 1000} s`)
    if (error instanceof TooMuch) throw new Error(`${url} ${error.message}`)
    throw new Unanswered(`${url} cannot be reached: ${reasonOf(error)}`)
  }
}

/** @throws Error whose message is fit for a log. */
export function refuseUnless(status: number, url: string, answer: Pick<Answer, 'status' | 'redirects'>): void {
  if (answer.status === status) return
  throw new Error(`${url} answered ${answer.redirects ? 'with a redirect' : answer.status}`)
}

/** The connection could not be made, or it broke. */
export class Unanswered extends Error {}

class TooMuch extends Error {}

async function send(
  url: string,
  init: RequestInit,
  { fetch, maxBytes }: { fetch: Fetch; maxBytes: number },
): Promise<Answer> {
  // `manual`: a redirect is an answer other than 200. Followed, an open redirect at the issuer would choose our keys.
  const response = await fetch(url, { ...init, redirect: 'manual' })
  const { status, headers, type } = response
  const redirects = type === 'opaqueredirect'
  if (status === 200) return { status, headers, redirects, text: await readLimited(response, maxBytes) }
  await response.body?.cancel()
  return { status, headers, redirects, text: '' }
}

/** Counts what comes out of the decompression, whatever `content-length` says. */
async function readLimited(response: Response, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const parts: string[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    // Leaving the loop cancels the stream.
    if (size > maxBytes) throw new TooMuch(`answered with more than ${maxBytes} bytes`)
    parts.push(decoder.decode(chunk, { stream: true }))
  }
  return parts.join('') + decoder.decode()
}

export function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
  )
}

/** RFC 9111 §4.2: the time that a shared cache has kept it already is over. */
function maxAgeOf(headers: Headers): number | undefined {
  const control = headers.get('cache-control') ?? ''
  if (/\bno-(store|cache)\b/i.test(control)) return 0
  const seconds = /\bmax-age="?(\d{1,9})\b/i.exec(control)?.[1]
  if (seconds === undefined) return undefined
  const age = /^\d{1,9}$/.exec(headers.get('age') ?? '')?.[0] ?? '0'
  return Math.max(0, Number(seconds) - Number(age)) * 1000
}

/** `fetch` says "fetch failed" and hides the reason one level below. */
export function reasonOf(error: unknown): string {
  const { message, cause } = error as Error
  return cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : message
}
