import { sql } from 'kysely'

/**
 * A row of `users`, including what its owner never sees. users/ owns the row; credentials/ owns the two columns about
 * the password, because the statement that counts an attempt must read them together with the account.
 */
export interface User {
  id: string
  /** Normalised. */
  email: string
  emailVerified: boolean
  /** It was registered while addresses had to be verified before a sign-in. */
  mustVerify: boolean
  /** PHC string. If null, nobody can sign in with a password. */
  passwordHash: string | null
  roles: string[]
  claims: Record<string, unknown>
  disabledAt: Date | null
  /** When the password was disabled after too many failures in a row. Sessions go on. */
  passwordDisabledAt: Date | null
  /** When the account was first signed in to. */
  signedInAt: Date | null
  /** The language of that sign-in, in which the owner is told what others may have caused. */
  locale: string | null
  createdAt: Date
}

/** The columns of a User, for the query builder. */
export const userColumns = [
  'id',
  'email',
  'email_verified as emailVerified',
  'must_verify as mustVerify',
  'password_hash as passwordHash',
  'roles',
  'claims',
  'disabled_at as disabledAt',
  'password_disabled_at as passwordDisabledAt',
  'signed_in_at as signedInAt',
  'locale',
  'created_at as createdAt',
] as const satisfies readonly (keyof User | `${string} as ${keyof User}`)[]

/** The same columns for statements that are written out and name the table `u`. */
export const columnsOfU = sql.join(
  userColumns.map((column) => {
    const [name = '', alias = name] = column.split(' as ')
    return sql`${sql.ref(`u.${name}`)} AS ${sql.ref(alias)}`
  }),
)
