import type { Db } from '../db/schema.ts'
import { isSubjectListed } from './queries.ts'

/**
 * Whether a token has been revoked by its subject since it was issued, for whoever knows of no session to ask instead. Read from the
 * database, so that it is exact at once, and also where nobody has numbered the entry yet.
 */
export async function isRevoked({ db }: { db: Db }, { sub, iat }: { sub: string; iat: number }): Promise<boolean> {
  return await isSubjectListed(db, sub, new Date(iat * 1000))
}
