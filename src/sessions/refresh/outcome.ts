import type { TalliedEvent } from '../../audit/events.ts'
import type { Tally } from '../../audit/tally.ts'
import type { Narrowing } from '../../clients/grants.ts'
import type { Clock } from '../../clock.ts'
import type { Db, Tx } from '../../db/schema.ts'
import type { Problem } from '../../errors.ts'
import type { Keyring } from '../../keys/keyring.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import type { Operation } from '../../operation.ts'
import type { NoticeDeps } from '../../outbox/mail/notices.ts'
import type { AppendDeps } from '../../revocations/append.ts'
import type { AuthenticToken } from '../../tokens/refresh.ts'
import type { FamilyFacts, LockedFamily, Subject } from '../queries.ts'
import type { Presented, Verdict } from '../rotation.ts'

/** A refresh that the hot path did not settle. */
export interface Request {
  /** Of the moment when it arrived. */
  operation: Operation
  token: AuthenticToken
  presented: Presented
  narrow: Narrowing
  /** When the first attempt of this refresh arrived. */
  since: Date
  /** Whether a newer token of the family was here before it; undefined if this process has not seen the family. */
  wasOld: boolean | undefined
  /** Whether the client has hung up. */
  isGone: () => boolean
  /** If the client's address is over its limit of rotations: seconds until it is not. Retries are answered even so. */
  rotatesAgainIn: number | undefined
}

/** The family of a request, which a transaction has locked. */
export interface Held {
  tx: Tx
  /** Of the moment when the row was ours: whatever is written has not waited for it. */
  operation: Operation
  family: LockedFamily
  request: Request
}

export interface Refreshed {
  kind: 'refreshed'
  verdict: Verdict['kind']
  family: FamilyFacts
  subject: Subject
  refreshToken: string
  /** So many rotations in a row have been retried that it is worth noting. */
  streak?: boolean
  /** A retry that an honest client is unlikely to have made. */
  suspicion?: TalliedEvent
}

/** What the transaction decided and did. Errors for the client are values, so that the verdict is committed. */
export type Outcome = Refreshed | { kind: 'problem'; problem: Problem; reuse?: boolean; refusal?: TalliedEvent }

/** What the careful path works with. */
export type CarefulDeps = NoticeDeps &
  AppendDeps & {
    refreshDb: Db
    clock: Clock
    keyring: Keyring
    metrics: Metrics
    log: Log
    tally: Tally
  }

/** The subject of an event about a family. */
export function about(family: LockedFamily) {
  return { userId: family.subject.id, familyId: family.facts.id, clientId: family.state.clientId }
}
