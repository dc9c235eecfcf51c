import { ClavigerError, cookieBlocked, isOver, isPassing, signedOut, wrongIssuer } from './errors.ts'
import { claimsOf, hold, isUsable } from './held.ts'
import type { Post, Reply } from './issuer.ts'
import type { Exclusive } from './lock.ts'
import { platform } from './platform.ts'
import { RELEASE, type Record, type RecordStore } from './record.ts'
import type { State } from './state.ts'
import type { Login, Registration, User } from './types.ts'

/** In the address of a page to which the user returns after signing in elsewhere. */
export const SIGNED_IN = '#signed-in'

interface Parts {
  issuer: string
  state: State
  records: RecordStore
  post: Post
  /** The same, for sign-ins and refreshes. */
  postForToken: Post
  exclusive: Exclusive
  /** Whether the refresh token is in the record instead of a cookie. */
  native: boolean
  /** The parameters of every token request. */
  wanted: { client_id: string | undefined; audience: string | string[] | undefined; scope: string | undefined }
  /** Called after a temporary failure. @returns milliseconds until the issuer may be asked again. */
  onTrouble: (error: ClavigerError) => number
}

/**
 * The exchanges with the issuer about the session. Keeps the record up to date with them.
 * @param returned whether the user has come back from signing in on another page and the issuer has not been asked
 * since: what the record and the other tabs know is then of an earlier session.
 */
export function createExchange(
  { issuer, state, records, post, postForToken, exclusive, native, wanted, onTrouble }: Parts,
  returned: boolean,
) {
  /** Asks for a token. @throws ClavigerError unless the reply has one of this issuer. */
  async function ask(path: string, body: object, headers?: { [name: string]: string }): Promise<Reply> {
    const reply = await postForToken(path, { ...body, ...wanted }, headers)
    const { access_token } = reply
    // The name in a token that cannot be read is as good as ours: others judge the token.
    let name: string | undefined = issuer
    try {
      name = access_token && claimsOf(access_token).iss
    } catch {}
    if (name !== issuer) throw wrongIssuer(issuer, 200, name)
    return reply as Reply
  }

  async function accept(reply: Reply, record: Record, sentAt: number, isLogin: boolean): Promise<User> {
    // `exp` is in whole seconds, so the token may live up to a second less.
    const life = (reply.expires_in - 1) * 1000
    const until = sentAt + life
    const cause = isLogin || returned ? 'login' : state.hasMissed(record) ? state.elsewhere() : 'found'
    const ends = sentAt + reply.refresh_expires_in * 1000
    const version = state.advance(record)
    // The new refresh token is stored first, where a restart finds it. The key is dropped, since its answer has
    // arrived.
    const since = isLogin ? version : (!returned && record.since) || version - 0.5
    arrive()
    await records.write({ version, until, ends, since, token: reply.refresh_token, leaving: state.leaving })
    if (state.leaving) throw signedOut()
    state.become(cause, reply.user, hold({ token: reply.access_token, life, until }), since)
    state.tell()
    return reply.user
  }

  /** The answer is in. Until then the mark stays in the address, in case the page is loaded again. */
  function arrive(): void {
    const { location, history } = platform
    if (returned) history.replaceState(history.state, '', location?.href.replace(SIGNED_IN, ''))
    returned = false
  }

  function forget(record: Record): Promise<void> {
    arrive()
    return records.write({ version: state.advance(record), none: RELEASE })
  }

  /** Ends the session here, because the issuer says that nobody is signed in. */
  async function end(record: Record): Promise<never> {
    const { version, since, ends } = record
    const hasSeen = native || records.hasSeen(record)
    // No refresh has succeeded since the sign-in: probably the browser has dropped the cookie.
    const isLost = returned || (!native && hasSeen && version === since)
    await forget(record)
    state.become((ends as number) <= Date.now() ? 'expired' : ends && hasSeen ? 'ended' : state.elsewhere())
    state.tell()
    throw isLost ? cookieBlocked(issuer, 401, 'No session since the sign-in, unless it was ended. ') : signedOut()
  }

  /** Signs out. @param since identifies the session to end, if it is known. */
  async function leave(since: number | undefined): Promise<void> {
    const record = await records.read()
    // Another tab has signed out, or somebody has signed in, in the meantime.
    if (!record.leaving && since && record.since !== since) return
    // Without a body there is no preflight, which saves a round trip while the page is being closed.
    // Whoever is not the default has to say which cookie it means.
    const { client_id } = wanted
    if (!native) await (client_id === 'web' ? post('/logout') : post('/logout', { client_id }))
    else if (record.token) await post('/logout', { refresh_token: record.token })
    await forget(record)
    state.tell()
  }

  /** Replaces the token that was held at version `since`. Must run under the lock. */
  async function refresh(since: number, waited = false): Promise<void> {
    const isDone = () => !returned && state.version > since && state.held && isUsable(state.held)
    if (!returned && !isDone()) await state.hear(await records.read(), waited)
    if (isDone()) return
    const seen = await records.read()
    // A record from another tab may arrive later than its message: a finished sign-out must not end the next session.
    const record = seen.version < state.version ? { ...seen, leaving: undefined } : seen
    if (record.leaving) await leave(record.since).catch(() => {})
    if (state.leaving || record.leaving || (state.version > since && state.status === 'signed-out')) {
      state.become(state.elsewhere())
      throw signedOut()
    }
    if (native && !record.token) return end(record)

    // Only differences are compared, because `wait` has fractions. Comparisons with undefined are false.
    const gone = Date.now() - (record.waitingSince as number)
    const left = (record.wait as number) - gone
    if (gone >= 0 && left > 0) {
      const error = new ClavigerError('unavailable', 503, 'Asked to wait', Math.ceil(left / 1000))
      onTrouble(error)
      throw error
    }

    // Stored until the answer arrives, so that the next attempt, after a crash or in another tab, repeats this request.
    const key = record.key ?? platform.crypto?.randomUUID?.() ?? `${Math.random()}${Math.random()}`
    await records.write({ ...record, key })
    const before = state.version
    const hasMoved = async () => state.version !== before || (await records.read()).version !== record.version
    const sentAt = Date.now()
    let reply: Reply
    try {
      reply = await ask('/refresh', { refresh_token: record.token }, { 'idempotency-key': key })
    } catch (error) {
      // A late answer may be about the previous session.
      const isKeyLost = (error as ClavigerError).code === 'invalid_dpop_proof'
      if (isOver(error) || isKeyLost) {
        if (await hasMoved()) return refresh(before)
        if (!isKeyLost) return end(record)
        // Nothing is noted: the session is alive, and a tab that has the key may be using it.
        state.become('key-lost')
        throw signedOut()
      }
      if (isPassing(error)) {
        const wait = onTrouble(error)
        // Stored for the other tabs and after a reload, unless only this tab has no network.
        if (error.status) await records.write({ ...(await records.read()), wait, waitingSince: Date.now() })
      }
      throw error
    }
    // While the answer was under way, the user signed out, or another one signed in.
    if (await hasMoved()) return refresh(before)
    await accept(reply, record, sentAt, false)
  }

  const login = ({ email, password, remember }: Login): Promise<User> =>
    // Under the lock, so that the answer to a refresh of the previous session does not overwrite the new cookie.
    exclusive(async () => {
      const sentAt = Date.now()
      const reply = await ask('/login', { email, password, remember })
      return accept(reply, await records.read(), sentAt, true)
    })

  return {
    login,

    refresh: (since: number): Promise<void> => exclusive((waited) => refresh(since, waited)),

    register: async (registration: Registration): Promise<User | null> => {
      const { email, password, signIn } = registration
      const { user = null } = await post('/register', { email, password })
      return user && signIn ? login(registration) : user
    },

    logout: async (): Promise<void> => {
      state.leaving++
      try {
        state.become('logout')
        const record = await records.read()
        // Advanced beyond the record first: had the clock been set back, tabs would take this for an old message.
        const version = state.advance(record)
        state.tell()
        await records.write({ ...record, version, until: undefined, leaving: 1 })
        await exclusive(() => leave(record.since))
      } finally {
        state.leaving--
      }
    },
  }
}
