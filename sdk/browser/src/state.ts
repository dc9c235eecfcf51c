import { type Arrival, dueIn, type Held, hold, leftOf } from './held.ts'
import { inBackground, platform } from './platform.ts'
import type { Record } from './record.ts'
import type { AuthState, Cause, Listener, User } from './types.ts'

/** How long to wait for other tabs, which answer much sooner. */
const HEARING_MS = 100
/** Used when another tab certainly exists: ten tabs that wake up together answer more slowly. */
const LONG_HEARING_MS = 500

interface News {
  version: number
  since: number | undefined
  user: User | null
  cause: Cause | undefined
  held: Arrival | undefined
  grant: string
}

export type State = ReturnType<typeof createState>

/**
 * Who is signed in, and with which access token. Kept in the memory of every tab, and passed from tab to tab.
 * @param grant the audience and scope of the token. Clients of one page may want different ones.
 * @param closed when aborted, this client calls no listener and hears nothing more. It still tells the other tabs what
 * was under way, so that a sign-out just before leaving a page signs out all of them.
 */
export function createState(name: string, grant: string, shared: boolean, closed: AbortSignal) {
  const channel = shared && platform.BroadcastChannel ? inBackground(new BroadcastChannel(name)) : undefined
  const listeners = new Set<Listener>()
  let told = ''
  let heard = () => {}

  const state = {
    /** The version of the record up to which this tab has followed it. */
    version: 0,
    /** `since` of that record: another value means another session. */
    since: undefined as number | undefined,
    status: 'loading' as AuthState,
    user: null as User | null,
    /** The cause of the latest change. */
    cause: undefined as Cause | undefined,
    held: undefined as Held | undefined,
    /** The number of sign-outs under way here: tokens that arrive meanwhile are dropped. */
    leaving: 0,
    /** Called after every change. */
    changed: () => {},
    become,
    elsewhere,
    tell,
    hear,
    /** Advances to a version later than any that this tab or the record has seen, even if the clock was set back. */
    advance: (record: Record): number => (state.version = Math.max(Date.now(), state.version, record.version) + 1),
    /** Whether this tab has missed a sign-in or sign-out, as a frozen tab does: only the record shows it. */
    hasMissed: (record: Record): boolean => !!channel && record.version > state.version && record.since !== state.since,
    onChange: (listener: Listener) => {
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
      }
    },
  }

  function become(cause: Cause, user: User | null = null, held?: Held, since?: number): void {
    const status = user ? 'signed-in' : cause === 'unreachable' ? cause : 'signed-out'
    const news = JSON.stringify([status, user])
    Object.assign(state, { held, since })
    if (news !== told) {
      told = news
      Object.assign(state, { status, user, cause })
      // A listener that throws must not stop what happens here.
      if (!closed.aborted)
        for (const listener of listeners) void Promise.resolve().then(() => listener(status, user, cause))
    }
    heard()
    state.changed()
  }

  /** The cause of a change elsewhere. The first thing that becomes known counts as `found`. */
  function elsewhere(): Cause {
    return state.status.startsWith('signed') ? 'other-tab' : 'found'
  }

  function tell(): void {
    const { version, since, user, cause, held } = state
    const token = held && { ...held, left: leftOf(held) }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel has its own origin only
    channel?.postMessage({ version, since, user, cause, held: token, grant } satisfies News)
  }

  /**
   * Asks the other tabs for a newer token, if there may be one.
   * @param waited whether another tab has just released the lock, which may arrive before what that tab posted or wrote.
   */
  async function hear(record: Record, waited: boolean): Promise<void> {
    const missed = record.version > state.version && (record.until as number) > Date.now()
    if (!channel || !(missed || waited)) return
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- likewise
    channel.postMessage({ ask: state.version })
    await new Promise<void>((resolve) => {
      heard = resolve
      setTimeout(resolve, waited ? LONG_HEARING_MS : HEARING_MS)
    })
  }

  const listener = ({ data }: { data: News | { ask: number } }) => {
    const { version, user, held, leaving } = state
    if ('ask' in data) {
      if (held && version > data.ask && dueIn(held) > 0) tell()
    } else if (data.version > version && !leaving) {
      state.version = data.version
      const sameGrant = data.grant === grant
      const token = sameGrant && data.held
      // A token that another client of the session got for other services does not replace this one's.
      const mine = !sameGrant && data.user?.id === user?.id ? held : undefined
      const cause = data.cause === 'expired' || data.cause === 'ended' ? data.cause : elsewhere()
      become(cause, data.user, token ? hold(token) : mine, data.since)
    }
  }
  channel?.addEventListener('message', listener, { signal: closed })
  return state
}
