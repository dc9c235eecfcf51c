import { sql } from 'kysely'
import { type BOOKKEEPING, type Installation, SchemaError } from './installation.ts'
import type { Db, Schema, Tx } from './schema.ts'

/** The rights of a role that runs the server and the commands without owning the tables. */
export const RIGHTS: Record<keyof Schema | typeof BOOKKEEPING, string> = {
  users: 'SELECT, INSERT, UPDATE, DELETE',
  families: 'SELECT, INSERT, UPDATE, DELETE',
  clients: 'SELECT, INSERT, UPDATE, DELETE',
  client_secrets: 'SELECT, INSERT, UPDATE, DELETE',
  client_failures: 'SELECT, INSERT, UPDATE, DELETE',
  assertion_ids: 'SELECT, INSERT, UPDATE, DELETE',
  login_failures: 'SELECT, INSERT, UPDATE, DELETE',
  login_sprays: 'SELECT, INSERT, UPDATE, DELETE',
  one_time_codes: 'SELECT, INSERT, UPDATE, DELETE',
  mail_counts: 'SELECT, INSERT, UPDATE, DELETE',
  rate_limits: 'SELECT, INSERT, UPDATE, DELETE',
  outbox: 'SELECT, INSERT, UPDATE, DELETE',
  notices: 'SELECT, INSERT, UPDATE, DELETE',
  revocations: 'SELECT, INSERT, UPDATE, DELETE',
  // One row, which is always there.
  revocation_feed: 'SELECT, UPDATE',
  verifiers: 'SELECT, INSERT, UPDATE, DELETE',
  // No DELETE: the row of a removed key stays, so that the key is never taken in again.
  signing_keys: 'SELECT, INSERT, UPDATE',
  // Recorded events cannot be altered, except through the functions of migration 0002.
  audit: 'SELECT, INSERT',
  claviger_migrations: 'SELECT',
}
/** All of them by name: administrators may have taken from PUBLIC what it has of a new function by default. */
const FUNCTIONS = [
  'audit_count_again(uuid, integer)',
  'audit_delete_old(timestamptz, integer)',
  'user_by_id(uuid)',
  'user_by_email(text)',
  'locked_user(uuid)',
  'locked_user_by_email(text)',
  'users_hash_parameters(integer)',
]

/**
 * Roles that already serve: no others may insert into `audit`, `users` and `signing_keys`. A migration grants them its new
 * tables too.
 */
export async function rolesThatServe(tx: Tx): Promise<string[]> {
  const { rows } = await sql<{ role: string }>`
    SELECT rolname::text AS role FROM pg_class c, aclexplode(relacl) AS acl JOIN pg_roles ON pg_roles.oid = acl.grantee
    WHERE c.oid IN (to_regclass('audit'), to_regclass('users'), to_regclass('signing_keys'))
      AND acl.privilege_type = 'INSERT' AND acl.grantee <> relowner
    GROUP BY rolname HAVING count(DISTINCT c.oid) = 3 ORDER BY role`.execute(tx)
  return rows.map(({ role }) => role)
}

/** Grants a role these rights, in a transaction whose search path is the schema. */
export async function grantServing(tx: Tx, { schema }: Installation, role: string): Promise<void> {
  const grantee = sql.id(role)
  await sql`GRANT USAGE ON SCHEMA ${sql.id(schema)} TO ${grantee}`.execute(tx)
  for (const [table, rights] of Object.entries(RIGHTS)) {
    await sql`GRANT ${sql.raw(rights)} ON ${sql.id(table)} TO ${grantee}`.execute(tx)
  }
  await sql`GRANT EXECUTE ON FUNCTION ${sql.raw(FUNCTIONS.join(', '))} TO ${grantee}`.execute(tx)
}

/**
 * Grants a role these rights and revokes all others on our tables.
 * @throws SchemaError if there is no such role, or if it can do more for another reason, such as owning the tables.
 */
export async function confineToServing(tx: Tx, installation: Installation, role: string): Promise<void> {
  await insistOnRole(tx, role)
  for (const table of Object.keys(RIGHTS)) await sql`REVOKE ALL ON ${sql.id(table)} FROM ${sql.id(role)}`.execute(tx)
  await grantServing(tx, installation, role)
  const more = await findExcess(tx, role)
  if (more) throw new SchemaError(`${explainExcess(role, more)}. What it is granted here would not limit it`)
}

async function insistOnRole(tx: Tx, role: string): Promise<void> {
  const { rows } = await sql`SELECT FROM pg_roles WHERE rolname = ${role}`.execute(tx)
  if (rows.length === 0) {
    throw new SchemaError(`there is no role “${role}”. Make it first: CREATE ROLE ${role} LOGIN PASSWORD '…'`)
  }
}

/** Powers that make those grants no limit at all, worst first, and how to take some of them away. */
const EXCESSES = {
  superuser: 'is a superuser',
  owner: 'owns the tables',
  database: 'owns the database',
  roles: 'may give itself other roles; ALTER ROLE … NOCREATEROLE',
  trail: 'may change the audit trail; REVOKE ALL ON audit FROM PUBLIC (or from it)',
  tables: 'may create tables; REVOKE CREATE ON SCHEMA … FROM PUBLIC (or from it)',
}

export interface Excess {
  kind: keyof typeof EXCESSES
  /** The role that has the power: the one in question, or another that it may become. */
  holder: string
}

/** The worst of these powers that a role has. */
export async function findExcess(db: Db, role: string): Promise<Excess | undefined> {
  const { rows } = await sql<Excess>`
    SELECT kind, holder FROM (
      SELECT rolname::text AS holder, CASE
        WHEN rolsuper THEN 'superuser'
        WHEN pg_roles.oid = relowner THEN 'owner'
        WHEN pg_roles.oid = datdba THEN 'database'
        WHEN rolcreaterole THEN 'roles'
        WHEN has_any_column_privilege(pg_roles.oid, c.oid, 'UPDATE')
          OR has_table_privilege(pg_roles.oid, c.oid, 'DELETE, TRUNCATE, TRIGGER') THEN 'trail'
        WHEN has_schema_privilege(pg_roles.oid, relnamespace, 'CREATE') THEN 'tables'
        END AS kind
      FROM pg_roles, pg_class c, pg_database
      WHERE c.oid = to_regclass('audit') AND datname = current_database() AND pg_has_role(${role}, pg_roles.oid, 'MEMBER')
    ) AS rights
    WHERE kind IS NOT NULL
    ORDER BY array_position(${Object.keys(EXCESSES)}::text[], kind), holder <> ${role}, holder LIMIT 1`.execute(db)
  return rows[0]
}

export function explainExcess(role: string, { kind, holder }: Excess): string {
  const who = holder === role ? `the role “${role}”` : `the role “${role}” may become “${holder}”, which`
  return `${who} ${EXCESSES[kind]}`
}
