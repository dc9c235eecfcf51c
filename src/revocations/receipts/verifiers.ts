import type { Db } from '../../db/schema.ts'
import { type FeedHead, type Freshness, hasHeard, judge } from './freshness.ts'
import * as queries from './queries.ts'
import { KEPT_MS } from './receipts.ts'

/** An instance of a service, as its last report has it. */
export interface Verifier extends queries.ReportRow {
  state: Freshness
}

/** Every instance that has reported within a day, by service. */
export async function listVerifiers(db: Db, now: Date): Promise<{ feed: FeedHead; verifiers: Verifier[] }> {
  const reports = await queries.reportsSince(db, since(now))
  // Read after the reports: a report that comes in between must not be taken for one of what does not exist.
  const feed = await queries.feedHead(db)
  const stateOf = (report: queries.ReportRow) => judge(report, feed, report.missedSince, now)
  return { feed, verifiers: reports.map((report) => ({ ...report, state: stateOf(report) })) }
}

/**
 * Those that somebody should look at: what is not as fresh as it should be, unless it has ended; and what has ended, where
 * nothing of its service is left that is current.
 */
export function findStale(verifiers: readonly Verifier[]): Verifier[] {
  const served = new Set(verifiers.filter(({ state }) => state === 'current').map(({ clientId }) => clientId))
  return verifiers.filter(({ state, clientId }) => (state === 'gone' ? !served.has(clientId) : state !== 'current'))
}

/**
 * Whether every instance that has reported within a day holds a key. One that is cut off at the moment counts: it will
 * need the key as soon as somebody comes to it with a token.
 */
export async function everybodyHolds(db: Db, now: Date, kid: string): Promise<boolean> {
  return !(await queries.lacksKey(db, since(now), kid))
}

/** Those for which a planned rotation waits. */
export async function listLacking(db: Db, now: Date, kid: string): Promise<Verifier[]> {
  const { verifiers } = await listVerifiers(db, now)
  return verifiers.filter(({ kids }) => !kids.includes(kid))
}

export interface Reach {
  /** Missing once nobody needs to hear of it any more, and if the session has not been revoked. */
  entry: queries.EntryRow | undefined
  /** For each instance whether it has heard; undefined if its report does not tell. */
  instances: (Verifier & { heard: boolean | undefined })[]
}

/** Which services have heard of the end of a session. */
export async function reachOf(db: Db, now: Date, session: Parameters<typeof queries.firstEntryOf>[1]): Promise<Reach> {
  const entry = await queries.firstEntryOf(db, session)
  const { feed, verifiers } = await listVerifiers(db, now)
  const heardBy = (verifier: Verifier) => (entry ? hasHeard(verifier, feed, entry.seq) : undefined)
  return { entry, instances: verifiers.map((verifier) => ({ ...verifier, heard: heardBy(verifier) })) }
}

/** So far back a report counts, whether or not it has been pruned. */
function since(now: Date): Date {
  return new Date(now.getTime() - KEPT_MS)
}
