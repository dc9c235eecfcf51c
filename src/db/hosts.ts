import { splitHosts, type TargetSession } from '../config/database-target.ts'
import { cannotWrite, isCrowded, isUnavailable } from './errors.ts'
import { reasonOf } from './unreachable.ts'

/**
 * The hosts of a database, of which one at a time can be written to, and which of them that was the last time. All pools of
 * a process share what one of them has found out.
 */
export interface Hosts {
  readonly count: number
  /** What a session must be able to do. */
  readonly session: TargetSession
  /** Where the next connection is opened: at the host that answered last, as long as nothing speaks against it. */
  next(): { index: number; url: string }
  /** A connection to the host was opened and serves. */
  answered(index: number): void
  /**
   * An attempt at the host has failed: of several, it is the turn of the one after it, unless another attempt has moved on
   * already.
   */
  failed(index: number, error: Error): void
  /** Whether an attempt at one of several hosts ended with this error, so that the next attempt is at another. */
  hasCaused(error: unknown): boolean
  /** Why there is no connection at the moment, once every host has failed; until it is worth another attempt. */
  pause(): Error | undefined
  /** What the hosts that failed have last said, as one error. @param last of the last attempt. */
  verdict(last: Error): Error
}

/**
 * How long nobody is asked again after all have failed. Every request would open a connection to each host otherwise, and
 * one of them is a standby that is being promoted.
 */
const PAUSE_MS = 200

/** @param onMoved called with `host:port` when another host than before answers. */
export function createHosts(url: string, onMoved: (host: string) => void = () => {}): Hosts {
  const { hosts, session } = splitHosts(url)
  const count = hosts.length
  const failures: (Error | undefined)[] = hosts.map(() => undefined)
  const caused = new WeakSet<object>()
  let current = 0
  let serving: number | undefined
  /** Hosts that have failed one after the other since one answered. */
  let misses = 0
  let paused: { until: number; because: Error } | undefined

  const verdict = (last: Error): Error => {
    const said = hosts.flatMap(({ name }, index) => {
      const error = failures[index]
      return error ? [{ name, error }] : []
    })
    const passing = said.map(({ error }) => error).filter(isUnavailable)
    // Nothing to wait for: the first refusal says what to change.
    if (passing.length === 0) return said[0]?.error ?? last
    return new NoHost(said.map(({ name, error }) => `${name}: ${reasonOf(error)}`).join('; '), passing)
  }
  return {
    count,
    session,
    next: () => ({ index: current, url: hosts[current]?.url ?? url }),
    answered: (index) => {
      if (serving !== undefined && serving !== index) onMoved(hosts[index]?.name ?? '')
      serving = index
      current = index
      misses = 0
      failures[index] = undefined
      paused = undefined
    },
    failed: (index, error) => {
      if (count === 1) return
      caused.add(error)
      failures[index] = error
      if (current !== index) return
      current = (index + 1) % count
      if (++misses < count) return
      misses = 0
      paused = { until: performance.now() + PAUSE_MS, because: verdict(error) }
    },
    hasCaused: (error) => typeof error === 'object' && error !== null && caused.has(error),
    pause: () => (paused && performance.now() < paused.until ? paused.because : undefined),
    verdict,
  }
}

/** No host gave a connection that serves, but one may soon. The message has the reason of each. */
export class NoHost extends Error {
  override readonly name = 'NoHost'
  /** The SQLSTATE that says most of what to do: wait for a place, for a promotion, or for a server. */
  readonly code: string
  constructor(message: string, errors: readonly Error[]) {
    super(message, { cause: errors[0] })
    this.code = errors.some(isCrowded) ? '53300' : errors.some(cannotWrite) ? '25006' : '57P03'
  }
}
