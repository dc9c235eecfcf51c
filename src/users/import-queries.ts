import { sql } from 'kysely'
import type { Tx } from '../db/schema.ts'
import type { User } from '../db/user.ts'

export type ImportedUser = Pick<
  User,
  'id' | 'email' | 'emailVerified' | 'passwordHash' | 'roles' | 'claims' | 'disabledAt' | 'createdAt'
>

/** Those addresses and ids that have an account. */
export async function findTaken(tx: Tx, users: readonly ImportedUser[]): Promise<Set<string>> {
  const rows = await tx
    .selectFrom('users')
    .select(['id', 'email'])
    .where(({ eb, or }) =>
      or([
        eb('email', '=', sql<string>`ANY(${users.map(({ email }) => email)}::text[])`),
        eb('id', '=', sql<string>`ANY(${users.map(({ id }) => id)}::uuid[])`),
      ]),
    )
    .execute()
  return new Set(rows.flatMap(({ id, email }) => [id, email]))
}

export async function insertImported(tx: Tx, users: readonly ImportedUser[]): Promise<void> {
  const rows = users.map((user) => ({
    id: user.id,
    email: user.email,
    email_verified: user.emailVerified,
    password_hash: user.passwordHash,
    roles: user.roles,
    claims: JSON.stringify(user.claims),
    disabled_at: user.disabledAt,
    created_at: user.createdAt,
  }))
  await tx.insertInto('users').values(rows).execute()
}
