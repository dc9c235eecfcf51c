import { type Arrival, dueIn, type Held, hold, leftOf } from './held.ts'
import { inBackground, platform, sleep } from './platform.ts'
import type { Record } from './record.ts'
import type { AuthState, Cause, Listener, User } from './types.ts'

/** Other tabs answer well within it. */
const HEARING_MS = 100
/** When ten tabs wake up together, they are slower; and it is certain that they are there. */
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
 * Who is signed in and with which access token: in the memory of every tab, and told from tab to tab.
 * @param grant the audience and scope that the token is for. Clients of one page may want different ones.
 * @param closed once it is aborted, nobody is told here and nothing is heard. Other tabs still are told what is under way: a
 * sign-out that a page was left with is one in all of them.
 */
export function createState(name: string, grant: string, shared: boolean, closed: AbortSignal) {
  const channel = shared && platform.BroadcastChannel ? inBackground(new BroadcastChannel(name)) : undefined
  const listeners = new Set<Listener>()
  let told = ''
  let heard = () => {}

  const state = {
    /** Of the record, as far as this tab has followed it. */
    version: 0,
    /** Of the record, likewise: another one is another session. */
    since: undefined as number | undefined,
    status: 'loading' as AuthState,
    user: null as User | null,
    /** Of the latest change. */
    cause: undefined as Cause | undefined,
    held: undefined as Held | undefined,
    /** Sign-outs under way here: whatever arrives meanwhile is not wanted any more. */
    leaving: 0,
    /** Called after every change. */
    changed: () => {},
    become,
    elsewhere,
    tell,
    hear,
    /** Later than anything that this tab or the record has seen, also if the clock was set back. */
    advance: (record: Record): number => (state.version = Math.max(Date.now(), state.version, record.version) + 1),
    /** A frozen tab hears of no sign-in and no sign-out; the record is where it sees that there was one. */
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

  /** The cause of what has not happened here: the first thing that is known at all is found. */
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
   * @param waited a tab has just let go of the lock. What it posted, what it wrote and the lock travel on different ways:
   * the lock may be here first.
   */
  async function hear(record: Record, waited: boolean): Promise<void> {
    const missed = record.version > state.version && (record.until as number) > Date.now()
    if (!channel || !(missed || waited)) return
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- likewise
    channel.postMessage({ ask: state.version })
    const told = new Promise<void>((resolve) => {
      heard = resolve
    })
    await Promise.race([told, sleep(waited ? LONG_HEARING_MS : HEARING_MS)])
  }

  const listener = ({ data }: { data: News | { ask: number } }) => {
    const { version, user, held, leaving } = state
    if ('ask' in data) {
      if (held && version > data.ask && dueIn(held) > 0) tell()
    } else if (data.version > version && !leaving) {
      state.version = data.version
      const sameGrant = data.grant === grant
      const token = sameGrant && data.held
      // What another client of the session got for other services leaves this one's token as it is.
      const mine = !sameGrant && data.user?.id === user?.id ? held : undefined
      const cause = data.cause === 'expired' || data.cause === 'ended' ? data.cause : elsewhere()
      become(cause, data.user, token ? hold(token) : mine, data.since)
    }
  }
  channel?.addEventListener('message', listener, { signal: closed })
  return state
}
