import { sql } from 'kysely'

/**
 * An account as its row has it, with what its owner never sees. users/ owns the row; credentials/ owns the two columns that say
 * whether a password opens it, because the one statement that counts an attempt must read them and the account at once.
 */
export interface User {
  id: string
  /** Normalised. */
  email: string
  emailVerified: boolean
  /** PHC string; null: cannot sign in with a password. */
  passwordHash: string | null
  roles: string[]
  claims: Record<string, unknown>
  disabledAt: Date | null
  /** When too many failures in a row took the password's use away; sessions go on. */
  passwordDisabledAt: Date | null
  createdAt: Date
}

/** For the query builder. */
export const userColumns = [
  'id',
  'email',
  'email_verified as emailVerified',
  'password_hash as passwordHash',
  'roles',
  'claims',
  'disabled_at as disabledAt',
  'password_disabled_at as passwordDisabledAt',
  'created_at as createdAt',
] as const satisfies readonly (keyof User | `${string} as ${keyof User}`)[]

/** The same for a statement that is written out, in which the table is `u`. */
export const columnsOfU = sql.join(
  userColumns.map((column) => {
    const [name = '', alias = name] = column.split(' as ')
    return sql`${sql.ref(`u.${name}`)} AS ${sql.ref(alias)}`
  }),
)
