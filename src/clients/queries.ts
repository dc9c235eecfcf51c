import type { Insertable, Selectable } from 'kysely'
import { sql } from 'kysely'
import type { ClientSecretsTable, ClientsTable, Db, Tx } from '../db/schema.ts'
import type { StoredSecret } from './secrets.ts'

export type ClientRow = Selectable<ClientsTable>

/** Serialises changes of clients: every change takes this lock first and holds it until its transaction ends. */
export async function lockClients(tx: Tx): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtext('claviger/clients'))`.execute(tx)
}

/** Those that people sign in with, oldest first, without disabled ones. */
export async function enabledPublicClients(db: Db): Promise<ClientRow[]> {
  return await db
    .selectFrom('clients')
    .selectAll()
    .where('type', '!=', 'service')
    .where('disabled_at', 'is', null)
    .orderBy('created_at')
    .orderBy('id')
    .execute()
}

/** How many people can sign in with, disabled ones included. */
export async function countPublicClients(tx: Tx): Promise<number> {
  const { count } = await tx
    .selectFrom('clients')
    .select((eb) => eb.fn.countAll<string>().as('count'))
    .where('type', '!=', 'service')
    .executeTakeFirstOrThrow()
  return Number(count)
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
