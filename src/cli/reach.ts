import { type Reach, reachOf, type Verifier } from '../revocations/receipts/verifiers.ts'
import type { Story } from '../sessions/why.ts'
import { count } from './account-view.ts'
import type { Opened } from './open.ts'
import { printable } from './terminal.ts'
import { relative } from './times.ts'

const NAMED = 5

/** Which services have heard of the end of a session. */
export async function findReach({ db, clock }: Pick<Opened, 'db' | 'clock'>, id: string, story: Story): Promise<Reach> {
  const { userId, family } = story
  return await reachOf(db, clock(), { sid: id, userId, lastTokenAt: family?.rotatedAt })
}

/** The same in words. */
export function describeReach({ entry, instances }: Reach, now: Date): string {
  if (!entry) return 'The revocation feed has no entry for it: it keeps them until the access tokens have expired.'
  const present = instances.filter(({ state }) => state !== 'gone')
  if (present.length === 0) return 'No service reports what it has heard of it.'
  const waiting = present.filter(({ heard }) => heard !== true)
  const all = count(present.length, 'instance')
  if (waiting.length === 0) return `All services that report have heard of it: ${all}.`
  const named = waiting
    .slice(0, NAMED)
    .map((each) => `${nameOf(each)} (${each.state}, reported ${relative(each.reportedAt, now)})`)
  const more = waiting.length > NAMED ? ` and ${waiting.length - NAMED} more` : ''
  const heard = present.length - waiting.length
  const some = heard === 0 ? 'none has' : heard === 1 ? '1 has' : `${heard} have`
  const report = present.length === 1 ? 'reports' : 'report'
  return `Of ${all} that ${report}, ${some} heard of it; not, or not yet: ${named.join(', ')}${more}.`
}

export function reachToJson({ entry, instances }: Reach) {
  return {
    revocation: entry ? { seq: entry.seq ?? null, revoked_at: entry.revokedAt } : null,
    heard: instances.map((each) => ({
      client_id: each.clientId,
      client: each.client,
      instance: each.instance,
      state: each.state,
      reported_at: each.reportedAt,
      heard: each.heard ?? null,
    })),
  }
}

export function nameOf({ client, instance }: Pick<Verifier, 'client' | 'instance'>): string {
  return printable(`${client}/${instance}`)
}
