import { randomBytes } from 'node:crypto'
import { type RequestFacts, record } from '../audit/audit.ts'
import { transact } from '../db/errors.ts'
import type { Tx } from '../db/schema.ts'
import type { Deps } from '../deps.ts'
import { Problem } from '../errors.ts'
import { type AuthenticToken, hashToken, mintSuccessor, mintSuccessorAgain } from '../tokens/refresh.ts'
import {
  endFamily,
  type FamilyFacts,
  type LockedFamily,
  lockFamily,
  type Subject,
  writeGeneration,
  writeRetry,
  writeWindow,
} from './queries.ts'
import { decide, type Presented, type Verdict } from './rotation.ts'

const STREAK_WORTH_NOTING = 5
const WINDOW_MS = 60_000

export interface Request {
  token: AuthenticToken
  presented: Presented
  narrow: { scope: string[] | null; audience: string[] | null }
}

interface Refreshed {
  family: FamilyFacts
  subject: Subject
  refreshToken: string
}

/** What the transaction decided and did. Anything that must be answered with an error is a value here: see below. */
type Outcome =
  | { kind: 'refreshed'; verdict: Verdict['kind']; result: Refreshed; streak?: boolean }
  | { kind: 'problem'; problem: Problem; reuse?: boolean }

type CarefulDeps = Pick<Deps, 'config' | 'db' | 'serverKeys' | 'metrics' | 'log'>

/**
 * The careful path: locks the family, decides by the whole table, acts, commits; only then answers. An error thrown inside
 * would roll the verdict back, and a stolen family would live on.
 */
export async function refreshCarefully(
  deps: CarefulDeps,
  now: Date,
  request: Request,
  facts: RequestFacts,
): Promise<Refreshed> {
  const outcome = await transact(deps.db, async (tx) => {
    const family = await lockFamily(tx, request.token.family)
    const verdict = decide(request.presented, family?.state, now, deps.config)
    if (verdict.kind === 'refuse') return await refuse(tx, now, family, verdict, facts)
    if (!family) throw new Error('a verdict other than refusal needs a family')
    if (verdict.kind === 'reuse') return await endForReuse(tx, now, family, request, verdict, facts)
    return (await limits(tx, now, family, request, deps)) ?? (await act(deps, tx, now, family, request, verdict, facts))
  })
  count(deps, outcome)
  if (outcome.kind === 'problem') throw outcome.problem
  return outcome.result
}

async function refuse(
  tx: Tx,
  now: Date,
  family: LockedFamily | undefined,
  { reason }: Verdict & { kind: 'refuse' },
  facts: RequestFacts,
): Promise<Outcome> {
  // A token at the end of its life is everyday; these are not.
  if (family && reason !== 'unknown_family' && reason !== 'ended' && reason !== 'expired') {
    await record(tx, now, 'anonymous', { type: 'refresh.refused', outcome: 'failure', reason, ...about(family) }, facts)
  }
  return { kind: 'problem', problem: new Problem('invalid_grant', { reason }) }
}

async function endForReuse(
  tx: Tx,
  now: Date,
  family: LockedFamily,
  { presented }: Request,
  { reason }: Verdict & { kind: 'reuse' },
  facts: RequestFacts,
): Promise<Outcome> {
  await endFamily(tx, family.facts.id, now, 'reuse_detected')
  const details = { presented: presented.generation, current: family.state.generation }
  await record(
    tx,
    now,
    'anonymous',
    { type: 'refresh.reuse_detected', outcome: 'failure', reason, details, ...about(family) },
    facts,
  )
  await record(
    tx,
    now,
    'server',
    { type: 'session.ended', outcome: 'success', reason: 'reuse_detected', ...about(family) },
    facts,
  )
  return { kind: 'problem', problem: new Problem('invalid_grant', { reason }), reuse: true }
}

/** What the hot path holds against a request besides the token: too much asked for, or too often. Nothing changes then. */
async function limits(
  tx: Tx,
  now: Date,
  { facts: granted, windowStartedAt, windowCount }: LockedFamily,
  { narrow }: Request,
  { config }: CarefulDeps,
): Promise<Outcome | undefined> {
  if (narrow.scope?.some((item) => !granted.scope.includes(item))) {
    return { kind: 'problem', problem: new Problem('invalid_scope') }
  }
  if (narrow.audience?.some((item) => !granted.audience.includes(item))) {
    return { kind: 'problem', problem: new Problem('invalid_target') }
  }
  const elapsed = now.getTime() - windowStartedAt.getTime()
  const open = elapsed < WINDOW_MS
  if (open && windowCount >= config.RATE_LIMIT_FAMILY_PER_MINUTE) {
    const retryAfter = Math.max(1, Math.ceil((WINDOW_MS - elapsed) / 1000))
    return { kind: 'problem', problem: new Problem('too_many_requests', { reason: 'family limit', retryAfter }) }
  }
  await writeWindow(tx, granted.id, open ? windowStartedAt : now, open ? windowCount + 1 : 1)
  return undefined
}

async function act(
  deps: CarefulDeps,
  tx: Tx,
  now: Date,
  family: LockedFamily,
  request: Request,
  verdict: Verdict & { kind: 'rotate' | 'retry' | 'recover' | 'roll_forward' },
  facts: RequestFacts,
): Promise<Outcome> {
  if (verdict.kind === 'retry') return await retry(deps, tx, now, family, request, facts)

  const { token, presented } = request
  // Above both what the row knows and what is presented: an unused successor that is replaced becomes an older generation.
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
  })
  if (verdict.kind === 'recover') {
    const details = { seconds_late: Math.round(verdict.secondsLate) }
    await record(
      tx,
      now,
      'user',
      { type: 'refresh.recovered_late', outcome: 'success', details, ...about(family) },
      facts,
    )
  }
  if (verdict.kind === 'roll_forward') {
    const details = { presented: presented.generation, current: family.state.generation }
    await record(
      tx,
      now,
      'user',
      { type: 'refresh.rolled_forward', outcome: 'success', details, ...about(family) },
      facts,
    )
  }
  return {
    kind: 'refreshed',
    verdict: verdict.kind,
    result: { family: { ...family.facts, rotatedAt: now }, subject: family.subject, refreshToken },
  }
}

async function retry(
  { serverKeys }: CarefulDeps,
  tx: Tx,
  now: Date,
  family: LockedFamily,
  { token }: Request,
  facts: RequestFacts,
): Promise<Outcome> {
  const { generation, currentHash } = family.state
  const refreshToken = family.salt && mintSuccessorAgain(serverKeys, token, generation, family.salt, currentHash)
  if (!refreshToken) {
    // The successor was made under a CLAVIGER_SECRET that has been taken from the list since.
    return { kind: 'problem', problem: new Problem('invalid_grant', { reason: 'secret_gone' }) }
  }
  const streak = family.retryStreak + (family.retried ? 0 : 1)
  if (!family.retried) await writeRetry(tx, family.facts.id, streak)
  const noteworthy = !family.retried && streak === STREAK_WORTH_NOTING
  if (noteworthy) {
    const details = { rotations: streak }
    await record(
      tx,
      now,
      'anonymous',
      { type: 'refresh.retries_in_a_row', outcome: 'success', details, ...about(family) },
      facts,
    )
  }
  return {
    kind: 'refreshed',
    verdict: 'retry',
    result: { family: family.facts, subject: family.subject, refreshToken },
    streak: noteworthy,
  }
}

function about(family: LockedFamily) {
  return { userId: family.subject.id, familyId: family.facts.id, clientId: family.state.clientId }
}

/** Telemetry after the commit: a counter cannot be rolled back. */
function count({ metrics }: CarefulDeps, outcome: Outcome): void {
  if (outcome.kind === 'refreshed') {
    metrics.refreshes.inc({ outcome: outcome.verdict === 'rotate' ? 'rotated' : outcome.verdict })
    if (outcome.verdict === 'retry') metrics.retries.inc()
    if (outcome.streak) metrics.retryStreaks.inc()
    return
  }
  metrics.refreshes.inc({ outcome: outcome.reuse ? 'reuse' : outcome.problem.code })
  if (outcome.reuse) metrics.reuseDetected.inc()
}
