import type { EndCause, ReuseReason } from '../audit/events.ts'
import { historyOfFamily, type PastEvent } from '../audit/history.ts'
import type { Db } from '../db/schema.ts'
import { type FamilyRecord, findRecord } from './list-queries.ts'
import { endsIfUnused, lifeAt } from './live.ts'

/** Whether a session is live, and if not, why. */
export type Fate =
  | { state: 'live'; cause: null; at: null; lastUsedAt: Date; endsAt: Date; endsBy: 'idle' | 'absolute' }
  /** A later version of the server may have written causes and reasons that this one does not know. */
  | { state: 'ended'; cause: EndCause; at: Date; from: string | null; reuse: Reuse | undefined }
  | { state: 'expired'; cause: 'idle'; at: Date; lastUsedAt: Date; idleSeconds: number }
  | { state: 'expired'; cause: 'absolute'; at: Date; lifetimeSeconds: number }
  /** Its row has been pruned and the trail has no end of it, so it expired, either for lack of use or by age. */
  | { state: 'expired'; cause: 'age'; at: null; startedAt: Date; startedFrom: string | null }
  | { state: 'unknown'; cause: null; at: null }

/** What the trail says about the replay that ended a session. */
export interface Reuse {
  reason: ReuseReason
  /** The generation of the token that was replayed. `current` is that of the token that should have been used. */
  presented: number
  current: number
  from: string | null
}

/** What is known about a session, from its row and from the trail. */
export interface Story {
  fate: Fate
  /** Undefined once it has been pruned. */
  family: FamilyRecord | undefined
  /** Known even if the session's row, or the user, has been deleted. */
  userId: string | undefined
  /** Oldest first. */
  history: readonly PastEvent[]
}

/** Finds out whether and why a session is over. */
export async function findOut(db: Db, now: Date, id: string): Promise<Story> {
  const [family, history] = [await findRecord(db, id), await historyOfFamily(db, id)]
  const userId = family?.userId ?? history.find((event) => event.userId !== null)?.userId ?? undefined
  return { fate: judge(family, history, now), family, userId, history }
}

function judge(family: FamilyRecord | undefined, history: readonly PastEvent[], now: Date): Fate {
  const end = history.findLast(({ type }) => type === 'session.ended')
  const at = family?.endedAt ?? end?.at
  if (at) {
    const cause = (family?.endCause ?? end?.reason ?? 'unknown') as EndCause
    return { state: 'ended', cause, at, from: end?.address ?? null, reuse: reuseIn(history) }
  }
  if (family) return judgeAge(family, now)
  const start = history.find(({ type, outcome }) => type === 'login' && outcome === 'success')
  if (start) return { state: 'expired', cause: 'age', at: null, startedAt: start.at, startedFrom: start.address }
  return { state: 'unknown', cause: null, at: null }
}

function judgeAge(family: FamilyRecord, now: Date): Fate {
  const { createdAt, rotatedAt: lastUsedAt, expiresAt, idleSeconds } = family
  const endsAt = endsIfUnused(family)
  const endsBy = endsAt < expiresAt ? 'idle' : 'absolute'
  if (lifeAt(family, now) === 'live') return { state: 'live', cause: null, at: null, lastUsedAt, endsAt, endsBy }
  if (endsBy === 'idle') return { state: 'expired', cause: 'idle', at: endsAt, lastUsedAt, idleSeconds }
  const lifetimeSeconds = (expiresAt.getTime() - createdAt.getTime()) / 1000
  return { state: 'expired', cause: 'absolute', at: endsAt, lifetimeSeconds }
}

function reuseIn(history: readonly PastEvent[]): Reuse | undefined {
  const event = history.findLast(({ type }) => type === 'refresh.reuse_detected')
  if (!event) return undefined
  const { presented, current } = event.details
  const generations = { presented: Number(presented), current: Number(current) }
  return { reason: event.reason as ReuseReason, ...generations, from: event.address }
}
