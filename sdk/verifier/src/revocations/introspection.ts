import { exchange, refuseUnless, Unanswered } from '../download.ts'
import type { Surroundings } from './surroundings.ts'

/** All claims of a token, and a few members more. */
const MAX_BYTES = 64 * 1024
/** Questions in flight. A flood of tokens while the feed is down must not become one of requests. */
const AT_ONCE = 200

/**
 * Asks the issuer whether tokens are active (RFC 7662). Those who wait for the same token share one question, and nothing
 * is kept: the answer after that may be another.
 * @returns a function that throws Error if there is no answer.
 */
export function createIntrospection({
  base,
  credentials,
  fetch,
  timeoutMs,
}: Pick<Surroundings, 'base' | 'credentials' | 'fetch' | 'timeoutMs'>): (token: string) => Promise<boolean> {
  const url = `${base}/oauth/introspect`
  const limits = { fetch, timeoutMs, maxBytes: MAX_BYTES }
  const asking = new Map<string, Promise<boolean>>()

  const ask = async (token: string, again = false): Promise<boolean> => {
    const { headers: own, parameters } = await credentials.forForm()
    const body = new URLSearchParams({ token, token_type_hint: 'access_token', ...parameters }).toString()
    const headers = { ...own, accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' }
    try {
      const answer = await exchange(url, { method: 'POST', headers, body }, limits)
      refuseUnless(200, url, answer)
      const { active } = JSON.parse(answer.text) as { active?: unknown }
      if (typeof active !== 'boolean') throw new Error(`${url} did not say whether the token is active`)
      return active
    } catch (error) {
      // The other side may have closed an idle connection just then. The question changes nothing, so it is put once more.
      if (again || !(error instanceof Unanswered)) throw error
      return await ask(token, true)
    }
  }

  return (token) => {
    const shared = asking.get(token)
    if (shared) return shared
    if (asking.size >= AT_ONCE) return Promise.reject(new Error(`${AT_ONCE} tokens are being asked about`))
    const answer = ask(token).finally(() => asking.delete(token))
    asking.set(token, answer)
    return answer
  }
}
