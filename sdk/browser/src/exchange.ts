import { ClavigerError, cookieBlocked, isOver, isPassing, signedOut, wrongIssuer } from './errors.ts'
import { claimsOf, hold, isUsable } from './held.ts'
import type { Post, Reply } from './issuer.ts'
import type { Exclusive } from './lock.ts'
import { platform } from './platform.ts'
import { RELEASE, type Record, type RecordStore } from './record.ts'
import type { State } from './state.ts'
import type { Login, Registration, User } from './types.ts'

interface Parts {
  issuer: string
  state: State
  records: RecordStore
  post: Post
  exclusive: Exclusive
  /** The refresh token is in the record, not in a cookie. */
  native: boolean
  /** What every token is asked for with. */
  wanted: { client_id: string | undefined; audience: string | string[] | undefined; scope: string | undefined }
  /** Told of a failure that will pass. @returns milliseconds until the issuer may be asked again. */
  onTrouble: (error: ClavigerError) => number
}

/** @returns `iss` of an access token; of one that cannot be read, what was expected; undefined without a token. */
function nameIn(token: string | undefined, expected: string): string | undefined {
  try {
    return token && claimsOf(token).iss
  } catch {
    return expected
  }
}

/** What is said between this client and the issuer about the session, and how the record keeps step with it. */
export function createExchange({ issuer, state, records, post, exclusive, native, wanted, onTrouble }: Parts) {
  /** @throws ClavigerError unless the reply is a token of this issuer. */
  async function ask(path: string, body: object, headers?: { [name: string]: string }): Promise<Reply> {
    const reply = await post(path, { ...body, ...wanted }, headers)
    const name = nameIn(reply.access_token, issuer)
    if (name !== issuer) throw wrongIssuer(issuer, 200, name)
    return reply as Reply
  }

  async function accept(reply: Reply, record: Record, sentAt: number, isLogin: boolean): Promise<User> {
    // `exp` is in whole seconds, so the token may live up to one less.
    const life = (reply.expires_in - 1) * 1000
    const until = sentAt + life
    const cause = isLogin ? 'login' : state.hasMissed(record) ? state.elsewhere() : 'found'
    const ends = sentAt + reply.refresh_expires_in * 1000
    const version = state.advance(record)
    // The successor must be where a restart finds it before anything is done with it; its answer being in, the key goes.
    const since = isLogin ? version : (record.since ?? version)
    await records.write({ version, until, ends, since, token: reply.refresh_token, leaving: state.leaving })
    if (state.leaving) throw signedOut()
    state.become(cause, reply.user, hold({ token: reply.access_token, life, until }), since)
    state.tell()
    return reply.user
  }

  const forget = (record: Record) => records.write({ version: state.advance(record), none: RELEASE })

  /** Nobody is signed in, says the issuer. */
  async function end(record: Record): Promise<never> {
    const { version, since, ends } = record
    const hasSeen = native || records.hasSeen(record)
    await forget(record)
    state.become((ends as number) <= Date.now() ? 'expired' : ends && hasSeen ? 'ended' : state.elsewhere())
    state.tell()
    // Nothing has become of the sign-in yet.
    throw !native && hasSeen && version === since
      ? cookieBlocked(issuer, 401, 'No session since the sign-in, unless it was ended. ')
      : signedOut()
  }

  /** @param since of the session that is to end, if it is known. */
  async function leave(since: number | undefined): Promise<void> {
    const record = await records.read()
    // Another tab has done it, or somebody has signed in meanwhile.
    if (!record.leaving && since && record.since !== since) return
    // Without a body it needs no preflight: one way less to go for a page that is being closed.
    if (!native) await post('/logout')
    else if (record.token) await post('/logout', { refresh_token: record.token })
    await forget(record)
    state.tell()
  }

  /** Replaces the token that was held when `since` was the version. Runs alone. */
  async function refresh(since: number, waited = false): Promise<void> {
    const isDone = () => state.version > since && state.held && isUsable(state.held)
    if (!isDone()) await state.hear(await records.read(), waited)
    if (isDone()) return
    const seen = await records.read()
    // What another tab wrote may be here later than what it said: a sign-out that is over must not reach the next session.
    const record = seen.version < state.version ? { ...seen, leaving: undefined } : seen
    if (record.leaving) await leave(record.since).catch(() => {})
    if (state.leaving || record.leaving || (state.version > since && state.status === 'signed-out')) {
      state.become(state.elsewhere())
      throw signedOut()
    }
    if (native && !record.token) return end(record)

    // Only differences: `wait` has fractions, which a time of day has no room for. Without numbers nothing holds.
    const gone = Date.now() - (record.waitingSince as number)
    const left = (record.wait as number) - gone
    if (gone >= 0 && left > 0) {
      const error = new ClavigerError('unavailable', 503, 'Asked to wait', Math.ceil(left / 1000))
      onTrouble(error)
      throw error
    }

    // Kept until the answer is in: whoever asks next, after a crash or in another tab, repeats this request.
    const key = record.key ?? platform.crypto?.randomUUID?.() ?? `${Math.random()}${Math.random()}`
    await records.write({ ...record, key })
    const before = state.version
    const hasMoved = async () => state.version !== before || (await records.read()).version !== record.version
    const sentAt = Date.now()
    let reply: Reply
    try {
      reply = await ask('/refresh', { refresh_token: record.token }, { 'idempotency-key': key })
    } catch (error) {
      // Late, it may be about the session before the present one.
      if (isOver(error)) return (await hasMoved()) ? refresh(before) : end(record)
      if (isPassing(error)) {
        const wait = onTrouble(error)
        // For the other tabs, and for whoever reloads. What a tab without a network found out is its own affair.
        if (error.status) await records.write({ ...(await records.read()), wait, waitingSince: Date.now() })
      }
      throw error
    }
    // Signed out, or somebody else, while the answer was on its way.
    if (await hasMoved()) return refresh(before)
    await accept(reply, record, sentAt, false)
  }

  const login = ({ email, password, remember }: Login): Promise<User> =>
    // Alone: the answer to a refresh of the session before must not overwrite the new cookie.
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
        // Later than the record first: a tab that has followed it would take this for old news, had the clock been set back.
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
