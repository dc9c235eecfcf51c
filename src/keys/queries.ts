import { sql } from 'kysely'
import type { Db, KeyState, Tx } from '../db/schema.ts'
import type { PublicJwk } from './material.ts'
import type { Sealed } from './sealing.ts'

type LiveState = Exclude<KeyState, 'removed'>

/** What every replica reads every few seconds. The private part is read only for a key that is new to it. */
export interface KeyHead {
  kid: string
  state: LiveState
  sealed_by: string
  activated_at: Date | null
}

export interface KeyRow extends KeyHead {
  sealed_private: Buffer
  created_at: Date
  retired_at: Date | null
}

/** Serialises changes of keys: every change takes this lock first and holds it until its transaction ends. */
export async function lockKeys(tx: Tx): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtext('claviger/signing-keys'))`.execute(tx)
}

export async function liveHeads(db: Db): Promise<KeyHead[]> {
  const rows = await db
    .selectFrom('signing_keys')
    .select(['kid', 'state', 'sealed_by', 'activated_at'])
    .where('state', '!=', 'removed')
    .orderBy('kid')
    .execute()
  return rows as KeyHead[]
}

export async function liveKeys(db: Db): Promise<KeyRow[]> {
  const rows = await db
    .selectFrom('signing_keys')
    .select(['kid', 'state', 'sealed_by', 'sealed_private', 'created_at', 'activated_at', 'retired_at'])
    .where('state', '!=', 'removed')
    .orderBy('created_at')
    .execute()
  return rows as KeyRow[]
}

/** Removed keys too, newest first, without their private part. */
export async function allKeys(db: Db) {
  return await db
    .selectFrom('signing_keys')
    .select(['kid', 'state', 'imported', 'compromised', 'created_at', 'activated_at', 'retired_at', 'removed_at'])
    .orderBy('created_at', 'desc')
    .execute()
}

export interface NewKey {
  jwk: PublicJwk
  sealed: Sealed
  state: 'next' | 'active'
  imported: boolean
}

/** @throws a violation of `signing_keys_pkey` if the key was ever here before. */
export async function insertKey(tx: Tx, now: Date, key: NewKey): Promise<void> {
  await tx
    .insertInto('signing_keys')
    .values({
      kid: key.jwk.kid,
      state: key.state,
      public_jwk: JSON.stringify(key.jwk),
      sealed_private: key.sealed.sealed,
      sealed_by: key.sealed.sealedBy,
      imported: key.imported,
      created_at: now,
      activated_at: key.state === 'active' ? now : null,
      retired_at: null,
      removed_at: null,
    })
    .execute()
}

export async function setActive(tx: Tx, now: Date, kid: string): Promise<void> {
  await tx.updateTable('signing_keys').set({ state: 'active', activated_at: now }).where('kid', '=', kid).execute()
}

export async function setRetiring(tx: Tx, now: Date, kid: string): Promise<void> {
  await tx.updateTable('signing_keys').set({ state: 'retiring', retired_at: now }).where('kid', '=', kid).execute()
}

/** Erases the private part. The row stays, so that the key is never taken in again. */
export async function setRemoved(tx: Tx, now: Date, kid: string, compromised: boolean): Promise<void> {
  await tx
    .updateTable('signing_keys')
    .set({ state: 'removed', removed_at: now, sealed_private: null, sealed_by: null, compromised })
    .where('kid', '=', kid)
    .execute()
}

export async function setSealed(tx: Tx, kid: string, { sealed, sealedBy }: Sealed): Promise<void> {
  await tx
    .updateTable('signing_keys')
    .set({ sealed_private: sealed, sealed_by: sealedBy })
    .where('kid', '=', kid)
    .execute()
}

/** Whether a key was withdrawn as compromised since `since`, apart from those in `except`. */
export async function compromisedSince(tx: Tx, since: Date, except: readonly string[]): Promise<boolean> {
  const row = await tx
    .selectFrom('signing_keys')
    .select('kid')
    .where('compromised', '=', true)
    .where('removed_at', '>', since)
    .where('kid', '!=', sql<string>`ALL(${except}::text[])`)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}
