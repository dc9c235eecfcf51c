import { MINUTE, SECOND } from '../../durations.ts'

/** What one instance of a service said last, and when. */
export interface Report {
  epoch: string
  /** The last entry of the feed that it has applied. */
  seq: number
  /** The signing keys that it holds. */
  kids: readonly string[]
  reportedAt: Date
}

/** How far the feed has got. */
export interface FeedHead {
  epoch: string
  seq: number
}

/**
 * - `current`: reports, and lacks nothing that it should have.
 * - `behind`: reports, but lacks an entry that it should have had for a while.
 * - `other_epoch`: reports on a sequence that is not the present one, so its numbers say nothing.
 * - `ahead`: says that it has applied what does not exist, so nothing that it says counts.
 * - `silent`: has not reported for a while. It may be cut off, or have ended.
 * - `gone`: has been silent for so long that it is taken to have ended.
 */
export const STATES = ['current', 'behind', 'other_epoch', 'ahead', 'silent', 'gone'] as const
export type Freshness = (typeof STATES)[number]

/** Verifiers report every five seconds: three reports are missing, or an entry has not arrived by three of them. */
const LATE_MS = 15 * SECOND
/** Deployments replace instances under new names, and nobody says goodbye for the old ones. */
const GONE_MS = 10 * MINUTE

/** @param missedSince when the oldest entry was made that the report does not cover; undefined if it covers all. */
export function judge(
  { epoch, seq, reportedAt }: Report,
  feed: FeedHead,
  missedSince: Date | undefined,
  now: Date,
): Freshness {
  const silence = now.getTime() - reportedAt.getTime()
  if (silence > GONE_MS) return 'gone'
  if (silence > LATE_MS) return 'silent'
  if (epoch !== feed.epoch) return 'other_epoch'
  if (seq > feed.seq) return 'ahead'
  return missedSince && now.getTime() - missedSince.getTime() > LATE_MS ? 'behind' : 'current'
}

/**
 * Whether an instance has applied an entry, however long ago it said so: what was applied stays applied.
 * @param entry its number; undefined while it has none.
 * @returns undefined if its report does not tell.
 */
export function hasHeard({ epoch, seq }: Report, feed: FeedHead, entry: number | undefined): boolean | undefined {
  if (epoch !== feed.epoch || seq > feed.seq) return undefined
  return entry !== undefined && seq >= entry
}
