import type { Prover } from './dpop/prover.ts'
import { asNoAnswer, ClavigerError, isBlocked, isOver, isPassing, signedOut } from './errors.ts'
import { createExchange, SIGNED_IN } from './exchange.ts'
import { dueIn, isUsable } from './held.ts'
import { createPost } from './issuer.ts'
import { createExclusive } from './lock.ts'
import { findObstacle } from './obstacle.ts'
import { elapsed, inBackground, platform, sleep } from './platform.ts'
import { openRecord, RELEASE } from './record.ts'
import { createState } from './state.ts'
import type { Options, User } from './types.ts'

/** How long a caller waits for an issuer in trouble. */
const PATIENCE_MS = 10_000
/** Shorter than the patience of callers, so that they get at least one more try. */
const LONGEST_BACKOFF_MS = 8_000
/**
 * While nobody waits. An app whose origin is not allowed retries at this pace for ever, because it looks like no
 * network.
 */
const LONGEST_BACKOFF_AHEAD_MS = 60_000
/** `online` does not fire everywhere. */
const OFFLINE_MS = 30_000
/** Timers stand still while the device sleeps and fire too late afterwards, so none runs for long. */
const LONGEST_TIMER_MS = 30_000

/** Keeps a valid token at hand: decides when to refresh, when to try again and when to give up. */
export function createSession(options: Options, issuer: string) {
  const { storage, audience, scope, dpop, clientId = storage ? 'native' : 'web' } = options
  const native = storage !== undefined
  /** Why a session is impossible here, if it is. */
  let obstacle = native ? undefined : findObstacle(issuer)
  const inBrowser = !native && !obstacle
  const returned = inBrowser && platform.location?.hash === SIGNED_IN
  // Some keychains accept only these characters in a name.
  const name = `claviger_${issuer}_${clientId}`.replace(/[^\w.-]+/g, '_')
  const records = openRecord(name, storage)
  const closing = new AbortController()
  const state = createState(name, JSON.stringify([audience, scope, !!dpop]), inBrowser, closing.signal)
  // Looked up at each call, so that instrumentation that wraps `fetch` later takes effect.
  const plain: typeof fetch = (...request) => (options.fetch ?? fetch)(...request).catch(asNoAnswer)
  let prover: Prover | undefined
  /** Its code is for those who want it, and is asked for again where it has not come. */
  const loadProver = async (): Promise<Prover> => {
    const { createProver } = await import('./dpop/prover.ts').catch(asNoAnswer)
    return (prover ??= createProver(name, issuer, Object(dpop), plain, ClavigerError))
  }
  const send: typeof fetch = dpop ? async (...request) => (await loadProver()).send(...request) : plain
  const credentials = native ? 'omit' : 'include'
  /** For what needs no proof, and so must not need the code for it. */
  const post = createPost(issuer, credentials, plain)
  const exchange = createExchange(
    {
      issuer,
      state,
      records,
      native,
      post,
      postForToken: createPost(issuer, credentials, send),
      exclusive: createExclusive(name),
      wanted: { client_id: clientId, audience, scope },
      onTrouble,
    },
    returned,
  )

  let inFlight: Promise<void> | undefined
  let failure = signedOut()
  let failures = 0
  /** By `elapsed`, like `blockedUntil`. */
  let failedAt = 0
  /** The issuer is not asked before then, even if somebody waits. */
  let blockedUntil = 0
  /** Full jitter, so that clients that failed together do not come back together. */
  let jitter = 0
  let keeping = false
  let timer: ReturnType<typeof setTimeout> | undefined

  const isVisible = () => platform.document?.visibilityState === 'visible'

  const forgetTrouble = () => {
    failures = blockedUntil = jitter = 0
  }
  state.changed = () => {
    if (state.held) forgetTrouble()
    if (state.since) records.note(state.since)
    keep()
  }

  const retryAt = (ahead: boolean): number => {
    const longest = Math.min(ahead ? LONGEST_BACKOFF_AHEAD_MS : LONGEST_BACKOFF_MS, 200 * 2 ** failures)
    return failures && Math.max(blockedUntil, failedAt + 100 + jitter * longest)
  }

  function onTrouble(error: ClavigerError): number {
    const { status, retryAfter } = error
    failure = error
    failures++
    failedAt = elapsed()
    jitter = Math.random()
    const offline = !status && platform.navigator?.onLine === false
    blockedUntil = retryAfter ? failedAt + (retryAfter + jitter) * 1000 : offline ? failedAt + OFFLINE_MS : 0
    return retryAt(false) - failedAt
  }

  function attempt(): Promise<void> {
    inFlight ??= exchange.refresh(state.version).finally(() => {
      inFlight = undefined
    })
    return inFlight
  }

  /**
   * Gets a token other than the one that was refused, trying for as long as the caller is patient.
   * @throws ClavigerError when it is certain that there is none, or when patience runs out.
   */
  async function renew(patience: number, refused?: string): Promise<string> {
    const deadline = elapsed() + patience
    const ahead = patience === Infinity
    const found = (good: (held: NonNullable<typeof state.held>) => boolean) =>
      state.held && state.held.token !== refused && good(state.held) ? state.held.token : undefined
    for (;;) {
      if (obstacle) throw obstacle
      const token = found(ahead ? (held) => dueIn(held) > 0 : isUsable)
      if (token) return token
      const wait = retryAt(ahead) - elapsed()
      if (wait > 0) {
        if (elapsed() + wait > deadline || (ahead && !isVisible())) throw failure
        // Waits in short pieces, because `online` or another tab may end the wait.
        await sleep(Math.min(wait, 500))
        continue
      }
      try {
        await attempt()
      } catch (error) {
        if (!isPassing(error)) throw error
        continue
      }
      // Accepted however short its life is, since it is brand new.
      const made = found(() => true)
      if (made) return made
      if (state.status === 'signed-out') throw signedOut()
    }
  }

  /** Keeps the token of a visible tab fresh. A hidden tab gets one when it is needed or shown again. */
  function keep(): void {
    clearTimeout(timer)
    if (native || obstacle || !isVisible() || state.status === 'signed-out' || keeping) return
    const wait = state.held ? dueIn(state.held) : 0
    if (wait > 0) {
      timer = inBackground(setTimeout(keep, Math.min(wait, LONGEST_TIMER_MS)))
      return
    }
    keeping = true
    const done = () => {
      keeping = false
    }
    renew(Infinity)
      .finally(done)
      .then(keep, () => {})
  }

  /** After sleep, when the tab is shown or the network is back, much may have happened. */
  async function wake({ type }: { type: string }): Promise<void> {
    // A wait that the issuer asked for still holds; a missing network does not.
    if (type === 'online' && failure.status === 0) forgetTrouble()
    if (!isVisible()) return
    const record = await records.read()
    if (state.hasMissed(record) || record.leaving) await attempt().catch(() => {})
    keep()
  }

  if (inBrowser) {
    for (const event of ['visibilitychange', 'pageshow', 'focus', 'online'])
      platform.addEventListener(event, wake, { signal: closing.signal })
  }

  /** Runs only if a session is possible here. */
  const unobstructed =
    <Args extends unknown[], Result>(call: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      if (obstacle) throw obstacle
      return call(...args)
    }

  async function token(refused?: string): Promise<string> {
    const missed = state.hasMissed(await records.read())
    const { status, held } = state
    if (!missed && status === 'signed-out') throw signedOut()
    // Refreshed ahead of expiry, so nobody waits for it.
    if (held && dueIn(held) <= 0 && retryAt(true) <= elapsed()) attempt().catch(() => {})
    return renew(PATIENCE_MS, missed ? held?.token : refused)
  }

  /** Looks for a session. @param atStart on loading the page, when a known answer is not asked for again. */
  async function find(atStart?: boolean): Promise<User | null> {
    try {
      if (dpop && !obstacle) await (await loadProver()).prepare()
      if (atStart && inBrowser && !returned && (await records.read()).none === RELEASE) state.become('found')
      else await renew(atStart ? PATIENCE_MS / 2 : PATIENCE_MS, state.held?.token)
    } catch (error) {
      const { code } = error as ClavigerError
      // On a server that renders pages there is no session to look for.
      if (!isOver(error) && code !== 'no_storage') {
        if (state.status === 'loading') state.become(isBlocked(error) ? 'found' : 'unreachable')
        throw error
      }
    }
    return state.user
  }

  function close(): void {
    obstacle ??= new ClavigerError('closed', 0, 'This client is closed')
    clearTimeout(timer)
    closing.abort()
  }

  const ready = find(true)
  // Apps that do not await it need not handle its failure.
  ready.catch(() => {})
  return {
    state,
    plain,
    send,
    token: unobstructed(token),
    /** The calls that are passed to the app as they are. */
    calls: {
      get state() {
        return state.status
      },
      get user() {
        return state.user
      },
      get cause() {
        return state.cause
      },
      get dpop() {
        return prover?.binding(state.held?.token) ?? (dpop ? null : undefined)
      },
      ready,
      login: unobstructed(exchange.login),
      register: unobstructed(exchange.register),
      logout: unobstructed(exchange.logout),
      refresh: unobstructed(() => find()),
      onChange: state.onChange,
      close,
      post,
    },
  }
}
