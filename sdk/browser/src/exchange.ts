import { ClavigerError, cookieBlocked, isOver, isPassing, signedOut } from './errors.ts'
import { hold, isUsable } from './held.ts'
import type { Post, Reply } from './issuer.ts'
import type { Exclusive } from './lock.ts'
import { platform } from './platform.ts'
import type { Record, RecordStore } from './record.ts'
import type { State } from './state.ts'
import type { Credentials, Login, User } from './types.ts'

/** `Retry-After` is an hour at most, and its jitter a second. */
const LONGEST_WAIT_MS = 3_601_000

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

/** Milliseconds; none if the clock has been set since, back or by more than the issuer can have asked for. */
function leftToWait({ notBefore = 0, waitingSince = Infinity }: Record): number {
  const now = Date.now()
  return waitingSince <= now && notBefore <= waitingSince + LONGEST_WAIT_MS ? notBefore - now : 0
}

/** What is said between this client and the issuer about the session, and how the record keeps step with it. */
export function createExchange({ issuer, state, records, post, exclusive, native, wanted, onTrouble }: Parts) {
  async function accept(reply: Partial<Reply>, record: Record, sentAt: number, isLogin: boolean): Promise<User> {
    const life = (reply.expires_in ?? 0) * 1000
    const until = sentAt + life
    const cause = isLogin ? 'login' : state.hasMissed(record) ? state.elsewhere() : 'found'
    const ends = sentAt + (reply.refresh_expires_in as number) * 1000
    const version = state.advance(record)
    // The successor must be where a restart finds it before anything is done with it; its answer being in, the key goes.
    const since = isLogin ? version : (record.since ?? version)
    await records.write({
      version,
      until,
      ends,
      since,
      token: reply.refresh_token,
      leaving: state.leaving > 0 || undefined,
    })
    if (state.leaving) throw signedOut()
    if (isLogin && !native) records.noteSignIn(version)
    state.become(cause, reply.user as User, hold(reply.access_token as string, life, until), since)
    state.tell()
    return reply.user as User
  }

  /** Nobody is signed in, says the issuer. */
  async function end(record: Record): Promise<never> {
    const isFirst = !native && records.isFirst(record)
    const cause = !record.ends ? state.elsewhere() : record.ends > Date.now() ? 'ended' : 'expired'
    await records.write({ version: state.advance(record) })
    state.become(cause, null)
    state.tell()
    throw isFirst ? cookieBlocked(issuer, 401, 'No session since the sign-in, unless it was ended. ') : signedOut()
  }

  /** @param since of the session that is to end, if it is known. */
  async function leave(since: number | undefined): Promise<void> {
    const record = await records.read()
    // Another tab has done it, or somebody has signed in meanwhile.
    if (!record.leaving && since && record.since !== since) return
    // Without a body it needs no preflight: one way less to go for a page that is being closed.
    if (!native) await post('/logout')
    else if (record.token) await post('/logout', { refresh_token: record.token })
    await records.write({ version: state.advance(record) })
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
      state.become(state.elsewhere(), null)
      throw signedOut()
    }
    if (native && !record.token) return end(record)

    const wait = leftToWait(record)
    if (wait > 0) {
      const error = new ClavigerError('unavailable', 503, 'The issuer asked to wait', Math.ceil(wait / 1000))
      onTrouble(error)
      throw error
    }

    // Kept until the answer is in: whoever asks next, after a crash or in another tab, repeats this request.
    const key = record.key ?? platform.crypto?.randomUUID?.() ?? `${Math.random()}${Math.random()}`
    await records.write({ ...record, key })
    const before = state.version
    const hasMoved = async () => state.version !== before || (await records.read()).version !== record.version
    const sentAt = Date.now()
    let reply: Partial<Reply>
    try {
      reply = await post('/refresh', { refresh_token: record.token, ...wanted }, { 'idempotency-key': key })
      if (!reply.access_token) throw new ClavigerError('network', 0, 'No answer')
    } catch (error) {
      // Late, it may be about the session before the present one.
      if (isOver(error)) return (await hasMoved()) ? refresh(before) : end(record)
      if (isPassing(error)) {
        const waitingSince = Date.now()
        const notBefore = waitingSince + onTrouble(error)
        // For the other tabs, and for whoever reloads. What a tab without a network found out is its own affair.
        if (error.status) await records.write({ ...(await records.read()), notBefore, waitingSince })
      }
      throw error
    }
    // Signed out, or somebody else, while the answer was on its way.
    if (await hasMoved()) return refresh(before)
    await accept(reply, record, sentAt, false)
  }

  return {
    refresh: (since: number): Promise<void> => exclusive((waited) => refresh(since, waited)),

    login: ({ email, password, remember }: Login): Promise<User> =>
      // Alone: the answer to a refresh of the session before must not overwrite the new cookie.
      exclusive(async () => {
        const sentAt = Date.now()
        const reply = await post('/login', { email, password, remember, ...wanted })
        return accept(reply, await records.read(), sentAt, true)
      }),

    register: async ({ email, password }: Credentials): Promise<User | null> =>
      (await post('/register', { email, password })).user ?? null,

    logout: async (): Promise<void> => {
      state.leaving++
      try {
        state.become('logout', null)
        const record = await records.read()
        // Later than the record first: a tab that has followed it would take this for old news, had the clock been set back.
        const version = state.advance(record)
        state.tell()
        await records.write({ ...record, version, until: undefined, leaving: true })
        await exclusive(() => leave(record.since))
      } finally {
        state.leaving--
      }
    },
  }
}
