import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Db, Tx } from '../db/schema.ts'
import { SECOND } from '../durations.ts'
import { isSubjectListed, isSubjectListedBeside, listOfSubject } from './queries.ts'

/**
 * Whether a token has been revoked by its subject since it was issued, for whoever knows of no session to ask instead. Read from the
 * database, so that it is exact at once, and also where nobody has numbered the entry yet.
 */
export async function isRevoked({ db }: { db: Db }, { sub, iat }: { sub: string; iat: number }): Promise<boolean> {
  return await isSubjectListed(db, sub, new Date(iat * 1000))
}

/** By so much the clock of a replica may be behind ours. */
const CLOCKS_DIFFER_MS = 100

/**
 * Waits until the second is over in which a subject was revoked last, a second at most. Tokens state whole seconds: of what is issued
 * in that one nobody can tell on which side of the revocation it was, so all of it is revoked.
 * @returns what it has waited for, for `isRevokedAgain`.
 */
export async function outlastRevocation({ db, clock }: { db: Db; clock: Clock }, subject: string): Promise<Outlasted> {
  const { last, ids } = await listOfSubject(db, subject)
  if (!last) return { ids }
  const over = (Math.floor(last.getTime() / SECOND) + 1) * SECOND + CLOCKS_DIFFER_MS
  // No longer, should the clock of the database have been set back since.
  await sleep(Math.max(0, Math.min(over - clock().getTime(), SECOND + CLOCKS_DIFFER_MS)))
  return { ids }
}

interface Outlasted {
  ids: readonly string[]
}

/**
 * Whether a subject has been revoked again. By the entries, because times may be equal, or come in another order than commits.
 * The caller has locked the row of the subject.
 */
export async function isRevokedAgain(tx: Tx, subject: string, { ids }: Outlasted): Promise<boolean> {
  return await isSubjectListedBeside(tx, subject, ids)
}
