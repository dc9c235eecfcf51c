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
 * Gets a JSON document. The answer is data from outside, even from an issuer that is trusted: its size and its time are
 * limited, and it leads nowhere else.
 * @throws Error whose message is fit for a log; Unanswered.
 */
export async function download(
  url: string,
  { fetch, timeoutMs }: { fetch: Fetch; timeoutMs: number },
): Promise<Download> {
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    // Raced as well, because a `fetch` of the caller's may not heed the signal.
    return await Promise.race([get(url, fetch, signal), whenAborted(signal)])
  } catch (error) {
    if (signal.aborted) throw new Error(`${url} did not answer within ${timeoutMs / 1000} s`)
    if (error instanceof Refused) throw new Error(`${url} ${error.message}`)
    throw new Unanswered(`${url} cannot be reached: ${reasonOf(error)}`)
  }
}

/** The connection could not be made, or it broke. */
export class Unanswered extends Error {}

class Refused extends Error {}

async function get(url: string, fetch: Fetch, signal: AbortSignal): Promise<Download> {
  // `manual`: a redirect is an answer other than 200. Followed, an open redirect at the issuer would choose our keys.
  const response = await fetch(url, { redirect: 'manual', signal, headers: { accept: 'application/json' } })
  const maxAge = maxAgeOf(response.headers)
  if (response.status !== 200) {
    await response.body?.cancel()
    if (response.status === 404) return { document: undefined, maxAge }
    throw new Refused(response.type === 'opaqueredirect' ? 'answered with a redirect' : `answered ${response.status}`)
  }
  const text = await readLimited(response)
  try {
    return { document: JSON.parse(text), maxAge }
  } catch {
    throw new Refused('did not answer with JSON')
  }
}

/** Counts what comes out of the decompression, whatever `content-length` says. */
async function readLimited(response: Response): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    // Leaving the loop cancels the stream.
    if (size > MAX_BYTES) throw new Refused(`answered with more than ${MAX_BYTES} bytes`)
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

function whenAborted(signal: AbortSignal): Promise<never> {
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
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error
  return cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : message
}
