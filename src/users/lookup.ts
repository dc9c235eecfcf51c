import { transact } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import { Problem } from '../errors.ts'
import { isUuid } from '../uuid.ts'
import { normaliseEmail } from './email.ts'
import { findByEmail, findById, lockById } from './queries.ts'

/** @throws Problem not_found, invalid_email. */
export async function lookUp(db: Db, idOrEmail: string): Promise<User> {
  const user = isUuid(idOrEmail) ? await findById(db, idOrEmail) : await findByEmail(db, normaliseEmail(idOrEmail))
  if (!user) throw new Problem('not_found', { detail: 'There is no such user.' })
  return user
}

/** The address of a user, who may have been deleted. */
export async function emailOf(db: Db, id: string): Promise<string | undefined> {
  return (await findById(db, id))?.email
}

/** Runs `work` in a transaction that has locked the account's row. @throws Problem not_found, invalid_email. */
export async function withUser<T>(
  deps: { db: Db },
  idOrEmail: string,
  work: (tx: Tx, user: User) => Promise<T>,
): Promise<T> {
  const { id } = await lookUp(deps.db, idOrEmail)
  return await transact(deps.db, async (tx) => {
    const user = await lockById(tx, id)
    if (!user) throw new Problem('not_found', { detail: 'There is no such user.' })
    return await work(tx, user)
  })
}
