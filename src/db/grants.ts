import { sql } from 'kysely'
import { type BOOKKEEPING, type Installation, SchemaError } from './installation.ts'
import type { Schema, Tx } from './schema.ts'

/** What a role needs that runs the server and the commands, and owns nothing. */
const RIGHTS: Record<keyof Schema | typeof BOOKKEEPING, string> = {
  users: 'SELECT, INSERT, UPDATE, DELETE',
  families: 'SELECT, INSERT, UPDATE, DELETE',
  login_failures: 'SELECT, INSERT, UPDATE, DELETE',
  rate_limits: 'SELECT, INSERT, UPDATE, DELETE',
  // A key that was ever here is never taken in again, so its row stays.
  signing_keys: 'SELECT, INSERT, UPDATE',
  // What has happened stays as it was written; see the functions of migration 0002.
  audit: 'SELECT, INSERT',
  claviger_migrations: 'SELECT',
}
const FUNCTIONS = ['audit_count_again(uuid, integer)', 'audit_delete_old(timestamptz, integer)']

/** Roles that have been granted this before: nobody else has a reason to write events. They keep it from now on. */
export async function rolesThatServe(tx: Tx): Promise<string[]> {
  const { rows } = await sql<{ role: string }>`
    SELECT rolname::text AS role FROM pg_class, aclexplode(relacl) AS acl JOIN pg_roles ON pg_roles.oid = acl.grantee
    WHERE pg_class.oid = to_regclass('audit') AND acl.privilege_type = 'INSERT' AND acl.grantee <> relowner
    ORDER BY role`.execute(tx)
  return rows.map(({ role }) => role)
}

/**
 * Gives each role exactly the rights of RIGHTS, in a transaction whose search path is the schema.
 * @throws SchemaError where a role is missing.
 */
export async function grantServing(tx: Tx, { schema }: Installation, roles: readonly string[]): Promise<void> {
  for (const role of roles) {
    await insistOnRole(tx, role)
    const grantee = sql.id(role)
    await sql`GRANT USAGE ON SCHEMA ${sql.id(schema)} TO ${grantee}`.execute(tx)
    for (const [table, rights] of Object.entries(RIGHTS)) {
      await sql`REVOKE ALL ON ${sql.id(table)} FROM ${grantee}`.execute(tx)
      await sql`GRANT ${sql.raw(rights)} ON ${sql.id(table)} TO ${grantee}`.execute(tx)
    }
    await sql`GRANT EXECUTE ON FUNCTION ${sql.raw(FUNCTIONS.join(', '))} TO ${grantee}`.execute(tx)
  }
}

async function insistOnRole(tx: Tx, role: string): Promise<void> {
  const { rows } = await sql`SELECT FROM pg_roles WHERE rolname = ${role}`.execute(tx)
  if (rows.length === 0) {
    throw new SchemaError(`there is no role “${role}”. Make it first: CREATE ROLE ${role} LOGIN PASSWORD '…'`)
  }
}

/**
 * What was granted is no limit for a role that has more by other ways.
 * @throws SchemaError saying by which.
 */
export async function insistOnLimits(tx: Tx, { schema }: Installation, role: string): Promise<void> {
  const { rows } = await sql<{ superuser: boolean; owner: boolean; audit: boolean; creates: boolean }>`
    SELECT rolsuper AS superuser,
      pg_has_role(${role}, (SELECT relowner FROM pg_class WHERE oid = 'audit'::regclass), 'MEMBER') AS owner,
      has_table_privilege(${role}, 'audit', 'UPDATE, DELETE, TRUNCATE, TRIGGER') AS audit,
      has_schema_privilege(${role}, ${schema}, 'CREATE') AS creates
    FROM pg_roles WHERE rolname = ${role}`.execute(tx)
  const more = rows[0]
  const reason = more?.superuser
    ? 'is a superuser'
    : more?.owner
      ? 'is the owner of the tables, or a member of it'
      : more?.audit
        ? 'may change the audit trail by a right of PUBLIC or of another role that it is a member of'
        : more?.creates
          ? `may create tables in the schema “${schema}”; REVOKE CREATE ON SCHEMA ${schema} FROM PUBLIC (or from it)`
          : undefined
  if (reason) throw new SchemaError(`the role “${role}” ${reason}: what it is granted here would not limit it`)
}
