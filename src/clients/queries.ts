import type { Insertable, Selectable } from 'kysely'
import { sql } from 'kysely'
import type { ClientSecretsTable, ClientsTable, Db, Tx } from '../db/schema.ts'
import type { StoredSecret } from './secrets.ts'

export type ClientRow = Selectable<ClientsTable>

/** Serialises changes of clients: every change takes this lock first and holds it until its transaction ends. */
export async function lockClients(tx: Tx): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtext('claviger/clients'))`.execute(tx)
}

/** Those that people sign in with, oldest first, without disabled ones; if one is named, that one. */
export async function enabledPublicClients(db: Db, id?: string): Promise<ClientRow[]> {
  return await db
    .selectFrom('clients')
    .selectAll()
    .where('type', '!=', 'service')
    .where('disabled_at', 'is', null)
    .$if(id !== undefined, (qb) => qb.where('id', '=', id ?? ''))
    .orderBy('created_at')
    .orderBy('id')
    .execute()
}

/** @throws a violation of `clients_name_key` if the name is taken. */
export async function insertClient(tx: Tx, client: Insertable<ClientsTable>): Promise<void> {
  await tx.insertInto('clients').values(client).execute()
}

export async function insertSecret(tx: Tx, secret: Insertable<ClientSecretsTable>): Promise<void> {
  await tx.insertInto('client_secrets').values(secret).execute()
}

/** An enabled service client with its live secrets, in one statement: it is read at each of its calls. */
export async function findEnabledService(
  db: Db,
  now: Date,
  id: string,
): Promise<(ClientRow & { secrets: StoredSecret[] }) | undefined> {
  const rows = await db
    .selectFrom('clients as c')
    .leftJoin('client_secrets as s', (join) => join.onRef('s.client_id', '=', 'c.id').on('s.expires_at', '>', now))
    .selectAll('c')
    .select(['s.id as secretId', 's.secret_hash', 's.created_at as secretCreatedAt', 's.expires_at', 's.last_used_at'])
    .where('c.id', '=', id)
    .where('c.type', '=', 'service')
    .where('c.disabled_at', 'is', null)
    .execute()
  const [client] = rows
  return client && { ...client, secrets: rows.flatMap(secretOf) }
}

interface JoinedSecret {
  secretId: string | null
  secret_hash: Buffer | null
  secretCreatedAt: Date | null
  expires_at: Date | null
  last_used_at: Date | null
}

function secretOf(row: JoinedSecret): StoredSecret[] {
  const {
    secretId: id,
    secret_hash: hash,
    secretCreatedAt: createdAt,
    expires_at: expiresAt,
    last_used_at: lastUsedAt,
  } = row
  return id && hash && createdAt && expiresAt ? [{ id, hash, createdAt, expiresAt, lastUsedAt }] : []
}

export async function setSecretUsed(db: Db, now: Date, id: string): Promise<void> {
  await db.updateTable('client_secrets').set({ last_used_at: now }).where('id', '=', id).execute()
}

/** Those that people sign in with, disabled ones included. */
export async function allPublicClients(db: Db): Promise<ClientRow[]> {
  return await db.selectFrom('clients').selectAll().where('type', '!=', 'service').execute()
}

/** Every client, oldest first; if one is named, by id or by name, that one. */
export async function selectClients(db: Db, idOrName?: string): Promise<ClientRow[]> {
  return await db
    .selectFrom('clients')
    .selectAll()
    .$if(idOrName !== undefined, (qb) =>
      qb.where(({ eb, or }) => or([eb('id', '=', idOrName ?? ''), eb(sql`lower(name)`, '=', sql`lower(${idOrName})`)])),
    )
    .orderBy('created_at')
    .orderBy('id')
    .execute()
}

/** Expired ones too, newest first. */
export async function secretsOf(db: Db, clientIds: readonly string[]): Promise<(StoredSecret & OfClient)[]> {
  return await db
    .selectFrom('client_secrets')
    .select([
      'client_id as clientId',
      'slot',
      'id',
      'secret_hash as hash',
      'created_at as createdAt',
      'expires_at as expiresAt',
      'last_used_at as lastUsedAt',
    ])
    .where('client_id', 'in', clientIds.length > 0 ? clientIds : [''])
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .execute()
}

interface OfClient {
  clientId: string
  slot: 1 | 2
}

export async function deleteSecrets(tx: Tx, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await tx.deleteFrom('client_secrets').where('id', 'in', ids).execute()
}

/** Shares the row with other sign-ins, so that disabling it waits for them. @returns whether it is enabled. */
export async function lockEnabled(tx: Tx, id: string): Promise<boolean> {
  const row = await tx
    .selectFrom('clients')
    .select('id')
    .where('id', '=', id)
    .where('disabled_at', 'is', null)
    .forShare()
    .executeTakeFirst()
  return row !== undefined
}

/**
 * Disables or enables a client. Waits for the sign-ins that have seen it enabled; see lockEnabled.
 * @returns whether that changed it.
 */
export async function setDisabledAt(tx: Tx, now: Date, id: string, disabledAt: Date | null): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('clients')
    .set({ disabled_at: disabledAt, changed_at: now })
    .where('id', '=', id)
    .where('disabled_at', disabledAt ? 'is' : 'is not', null)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Notes that something beside its row has changed, such as its secrets. */
export async function setChangedAt(tx: Tx, now: Date, id: string): Promise<void> {
  await tx.updateTable('clients').set({ changed_at: now }).where('id', '=', id).execute()
}

/** @returns whether there was one, and it was disabled. */
export async function deleteDisabled(tx: Tx, id: string): Promise<boolean> {
  const { numDeletedRows } = await tx
    .deleteFrom('clients')
    .where('id', '=', id)
    .where('disabled_at', 'is not', null)
    .executeTakeFirst()
  return numDeletedRows > 0n
}
