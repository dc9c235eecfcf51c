import { type RawBuilder, sql } from 'kysely'
import type { Db, Tx } from '../db/schema.ts'
import { columnsOfU, type User, userColumns } from '../db/user.ts'

/** @param email as normaliseEmail returns it. */
export async function findByEmail(db: Db, email: string): Promise<User | undefined> {
  return await db.selectFrom('users').select(userColumns).where('email', '=', email).executeTakeFirst()
}

export async function findById(db: Db, id: string): Promise<User | undefined> {
  return await db.selectFrom('users').select(userColumns).where('id', '=', id).executeTakeFirst()
}

/**
 * Locks an account until the transaction ends. The lock is weaker than FOR UPDATE, so that inserting a family, which
 * refers to its user, does not wait for it.
 */
export async function lockById(tx: Tx, id: string): Promise<User | undefined> {
  return await firstOf(tx, sql`locked_user(${id})`)
}

/** The same by the address that it has when the lock is granted. */
export async function lockByEmail(tx: Tx, email: string): Promise<User | undefined> {
  return await firstOf(tx, sql`locked_user_by_email(${email})`)
}

async function firstOf(tx: Tx, users: RawBuilder<unknown>): Promise<User | undefined> {
  const { rows } = await sql<User>`SELECT ${columnsOfU} FROM ${users} AS u`.execute(tx)
  return rows[0]
}

/** Lists accounts in order of creation, from the one after `after` on. */
export async function listAfter(db: Db, after: string | null, limit: number): Promise<User[]> {
  return await db
    .selectFrom('users')
    .select(userColumns)
    .$if(after !== null, (qb) =>
      qb.where(sql<boolean>`(created_at, id) > (SELECT created_at, id FROM users WHERE id = ${after})`),
    )
    .orderBy('created_at')
    .orderBy('id')
    .limit(limit)
    .execute()
}

export type NewUser = Pick<User, 'id' | 'email' | 'passwordHash' | 'mustVerify' | 'roles' | 'createdAt'>

/** If two insert the same address, the constraint decides which is first. @returns undefined if it has an account. */
export async function insertUser(tx: Tx, user: NewUser): Promise<User | undefined> {
  return await tx
    .insertInto('users')
    .values({
      id: user.id,
      email: user.email,
      password_hash: user.passwordHash,
      must_verify: user.mustVerify,
      roles: user.roles,
      disabled_at: null,
      created_at: user.createdAt,
    })
    .onConflict((oc) => oc.constraint('users_email_key').doNothing())
    .returning(userColumns)
    .executeTakeFirst()
}

/** The caller has locked the row. The constraint decides whether the address is free. */
export async function writeEmail(tx: Tx, id: string, email: string, verified: boolean): Promise<void> {
  await tx.updateTable('users').set({ email, email_verified: verified }).where('id', '=', id).execute()
}

/** The caller has locked the row. */
export async function writeEmailVerified(tx: Tx, id: string): Promise<void> {
  await tx.updateTable('users').set({ email_verified: true }).where('id', '=', id).execute()
}

/** Deletes a row that the caller has locked, and with it its families. */
export async function removeUser(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('users').where('id', '=', id).execute()
}

/** The caller has locked the row. */
export async function writeFirstSignIn(tx: Tx, id: string, at: Date, locale: string): Promise<void> {
  await tx.updateTable('users').set({ signed_in_at: at, locale }).where('id', '=', id).execute()
}

/** The caller has locked the row. */
export async function writeDisabledAt(tx: Tx, id: string, disabledAt: Date | null): Promise<void> {
  await tx.updateTable('users').set({ disabled_at: disabledAt }).where('id', '=', id).execute()
}

/** The caller has locked the row. */
export async function writeRoles(tx: Tx, id: string, roles: string[]): Promise<void> {
  await tx.updateTable('users').set({ roles }).where('id', '=', id).execute()
}

/** The caller has locked the row. */
export async function writeClaims(tx: Tx, id: string, claims: Record<string, unknown>): Promise<void> {
  await tx
    .updateTable('users')
    .set({ claims: JSON.stringify(claims) })
    .where('id', '=', id)
    .execute()
}
