import type { Tx } from '../db/schema.ts'
import { negotiate } from '../languages.ts'
import type { Operation } from '../operation.ts'
import { writeFirstSignIn } from './queries.ts'

/** Notes the first sign-in to an account, and the language of whoever made it. The caller has locked the row. */
export async function noteFirstSignIn(tx: Tx, { now, facts }: Operation, userId: string): Promise<void> {
  await writeFirstSignIn(tx, userId, now, negotiate(undefined, facts.acceptLanguage ?? undefined))
}
