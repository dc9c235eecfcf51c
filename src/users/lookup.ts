import { transact } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import { Problem } from '../errors.ts'
import { isUuid } from '../uuid.ts'
import { normaliseEmail } from './email.ts'
import { findByEmail, findById, lockByEmail, lockById } from './queries.ts'

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

/** Locks an account until the transaction ends. @returns undefined if it is gone. */
export async function lockAccount(tx: Tx, id: string): Promise<User | undefined> {
  return await lockById(tx, id)
}

/** The same for the account that has an address. @param email normalised. */
export async function lockAccountOf(tx: Tx, email: string): Promise<User | undefined> {
  return await lockByEmail(tx, email)
}

/** The hash of an account's password. @returns null if it has none, or is gone. */
export async function passwordHashOf(db: Db, id: string | null): Promise<string | null> {
  return (id === null ? undefined : await findById(db, id))?.passwordHash ?? null
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
