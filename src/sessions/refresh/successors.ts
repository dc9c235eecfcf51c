import { record } from '../../audit/audit.ts'
import type { TalliedEvent } from '../../audit/events.ts'
import { Problem } from '../../errors.ts'
import type { Operation } from '../../operation.ts'
import { randomBytes } from '../../random.ts'
import { hashToken, mintSuccessor, mintSuccessorAgain } from '../../tokens/refresh.ts'
import { type LockedFamily, writeGeneration, writeRetry } from '../queries.ts'
import type { Verdict } from '../rotation.ts'
import { about, type CarefulDeps, type Held, type Outcome, type Request } from './outcome.ts'
import { WINDOW_MS } from './rotation-queries.ts'

const STREAK_WORTH_NOTING = 5
/** The largest value of the column. */
const LONGEST_STREAK = 32_767

type Replacing = Verdict & { kind: 'rotate' | 'recover' | 'roll_forward' }

/** Replaces the current token. Changes nothing if the family is over its limit. */
export async function replaceToken(
  deps: CarefulDeps,
  { tx, operation, family, request }: Held,
  verdict: Replacing,
): Promise<Outcome> {
  const { now } = operation
  const window = nextWindow(family, now)
  const problem = forbid(deps, request, now, window)
  if (problem) return { kind: 'problem', problem }

  const { token, presented } = request
  // Above both the row's generation and the presented one, so that an unused successor that is replaced counts as
  // older.
  const generation = Math.max(family.state.generation, presented.generation) + 1
  const salt = randomBytes(16)
  const refreshToken = mintSuccessor(deps.serverKeys[0], token, generation, salt)
  await writeGeneration(tx, family.facts.id, now, {
    generation,
    currentHash: hashToken(refreshToken),
    previousGeneration: presented.generation,
    previousHash: presented.hash,
    salt,
    keyHash: presented.keyHash,
    retryStreak: family.retried ? family.retryStreak : 0,
    window,
  })
  const theirs: Operation = { ...operation, actor: `user:${family.subject.id}` }
  if (verdict.kind === 'recover') {
    const details = { seconds_late: Math.round(verdict.secondsLate) }
    const event = { type: 'refresh.recovered_late', outcome: 'success', details, ...about(family) } as const
    await record(tx, theirs, event)
  }
  if (verdict.kind === 'roll_forward') {
    const details = { presented: presented.generation, current: family.state.generation }
    const event = { type: 'refresh.rolled_forward', outcome: 'success', details, ...about(family) } as const
    await record(tx, theirs, event)
  }
  return {
    kind: 'refreshed',
    verdict: verdict.kind,
    family: { ...family.facts, rotatedAt: now },
    subject: family.subject,
    refreshToken,
  }
}

interface Window {
  startedAt: Date
  /** Includes this rotation. */
  count: number
}

/** Counts as the statement of the hot path does. */
function nextWindow({ windowStartedAt, windowCount }: LockedFamily, now: Date): Window {
  const open = now.getTime() - windowStartedAt.getTime() < WINDOW_MS
  return open ? { startedAt: windowStartedAt, count: windowCount + 1 } : { startedAt: now, count: 1 }
}

function forbid({ config }: CarefulDeps, request: Request, now: Date, window: Window): Problem | undefined {
  if (request.rotatesAgainIn !== undefined) {
    return new Problem('too_many_requests', { reason: 'refresh_per_minute', retryAfter: request.rotatesAgainIn })
  }
  if (window.count <= config.RATE_LIMIT_FAMILY_PER_MINUTE) return undefined
  const retryAfter = Math.max(1, Math.ceil((WINDOW_MS - (now.getTime() - window.startedAt.getTime())) / 1000))
  return new Problem('too_many_requests', { reason: 'family limit', retryAfter })
}

/** Answers a retry of the previous token with the same successor, derived again. */
export async function answerAgain(
  { serverKeys }: CarefulDeps,
  { tx, operation, family, request: { token, presented } }: Held,
): Promise<Outcome> {
  const { generation, currentHash, rotationKeyHash } = family.state
  const refreshToken =
    family.salt && mintSuccessorAgain(serverKeys, token, { generation, salt: family.salt, hash: currentHash })
  if (!refreshToken) {
    // The successor was made under an entry of CLAVIGER_SECRET that has since been removed.
    return { kind: 'problem', problem: new Problem('invalid_grant', { reason: 'secret_gone' }) }
  }
  const streak = Math.min(family.retryStreak + (family.retried ? 0 : 1), LONGEST_STREAK)
  if (!family.retried) await writeRetry(tx, family.facts.id, streak)
  const noteworthy = !family.retried && streak === STREAK_WORTH_NOTING
  if (noteworthy) {
    const details = { rotations: streak }
    const event = { type: 'refresh.retries_in_a_row', outcome: 'success', details, ...about(family) } as const
    await record(tx, operation, event)
  }
  return {
    kind: 'refreshed',
    verdict: 'retry',
    family: family.facts,
    subject: family.subject,
    refreshToken,
    streak: noteworthy,
    ...(rotationKeyHash &&
      !presented.keyHash?.equals(rotationKeyHash) && { suspicion: keyMismatch(family, presented) }),
  }
}

/** An honest client repeats its key. Somebody without it holds the token but has not seen the request: perhaps a thief. */
function keyMismatch(family: LockedFamily, { keyHash }: Request['presented']): TalliedEvent {
  const reason = keyHash ? 'other_key' : 'no_key'
  return { type: 'refresh.key_mismatch', outcome: 'success', reason, ...about(family) }
}
