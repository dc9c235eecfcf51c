import type { Selectable } from 'kysely'
import type { Db, Delivery, FamiliesTable, Tx } from '../db/schema.ts'
import { liveAt } from './live-queries.ts'
import type { FamilyState } from './rotation.ts'

/**
 * What tokens say about a user. Read at every sign-in and refresh, so that a right taken away is gone at the next
 * refresh.
 */
export interface Subject {
  id: string
  email: string
  emailVerified: boolean
  roles: string[]
  claims: Record<string, unknown>
}

/** The part of a family that the reply to a client needs. */
export interface FamilyFacts {
  id: string
  clientId: string
  delivery: Delivery
  remember: boolean
  scope: string[]
  audience: string[]
  amr: string[]
  authTime: Date
  rotatedAt: Date
  expiresAt: Date
  idleSeconds: number
  /** Thumbprint of the key that its tokens are bound to, if they are. Fixed at sign-in. */
  dpopJkt: string | null
}

export type FamilyRow = Pick<
  Selectable<FamiliesTable>,
  | 'id'
  | 'client_id'
  | 'delivery'
  | 'remember'
  | 'scope'
  | 'audience'
  | 'amr'
  | 'auth_time'
  | 'rotated_at'
  | 'expires_at'
  | 'idle_seconds'
  | 'dpop_jkt'
>
export interface SubjectRow {
  user_id: string
  email: string
  email_verified: boolean
  roles: string[]
  claims: Record<string, unknown>
}

const familyColumns = [
  'f.id',
  'f.client_id',
  'f.delivery',
  'f.remember',
  'f.scope',
  'f.audience',
  'f.amr',
  'f.auth_time',
  'f.rotated_at',
  'f.expires_at',
  'f.idle_seconds',
  'f.dpop_jkt',
] as const
const subjectColumns = ['u.id as user_id', 'u.email', 'u.email_verified', 'u.roles', 'u.claims'] as const

export function factsOf(row: FamilyRow): FamilyFacts {
  return {
    id: row.id,
    clientId: row.client_id,
    delivery: row.delivery,
    remember: row.remember,
    scope: row.scope,
    audience: row.audience,
    amr: row.amr,
    authTime: row.auth_time,
    rotatedAt: row.rotated_at,
    expiresAt: row.expires_at,
    idleSeconds: row.idle_seconds,
    dpopJkt: row.dpop_jkt,
  }
}

export function subjectOf(row: SubjectRow): Subject {
  return { id: row.user_id, email: row.email, emailVerified: row.email_verified, roles: row.roles, claims: row.claims }
}

/** A family whose row is locked until the transaction ends. */
export interface LockedFamily {
  facts: FamilyFacts
  state: FamilyState
  subject: Subject
  salt: Buffer | null
  retried: boolean
  retryStreak: number
  windowStartedAt: Date
  windowCount: number
}

/**
 * Locks the family but not its user: a sign-in elsewhere must not wait for a refresh, nor a refresh for a sign-in.
 * @param options.wait if false, throws at once when another transaction holds the row (see isHeld).
 */
export async function lockFamily(tx: Tx, id: string, { wait = true } = {}): Promise<LockedFamily | undefined> {
  const row = await selectFamily(tx, id)
    .forUpdate('f')
    .$if(!wait, (qb) => qb.noWait())
    .executeTakeFirst()
  return row && lockedOf(row)
}

/** Reads a family without locking it. */
export async function findFamily(db: Db, id: string): Promise<Pick<LockedFamily, 'state' | 'subject'> | undefined> {
  const row = await selectFamily(db, id).executeTakeFirst()
  return row && lockedOf(row)
}

function selectFamily(db: Db, id: string) {
  return db
    .selectFrom('families as f')
    .innerJoin('users as u', 'u.id', 'f.user_id')
    .where('f.id', '=', id)
    .select([...familyColumns, ...subjectColumns])
    .select([
      'f.generation',
      'f.current_hash',
      'f.previous_hash',
      'f.salt',
      'f.rotation_key_hash',
      'f.retried',
      'f.retry_streak',
      'f.window_started_at',
      'f.window_count',
      'f.ended_at',
      'u.disabled_at',
    ])
}

type FullRow = NonNullable<Awaited<ReturnType<ReturnType<typeof selectFamily>['executeTakeFirst']>>>

function lockedOf(row: FullRow): LockedFamily {
  return {
    facts: factsOf(row),
    state: {
      clientId: row.client_id,
      delivery: row.delivery,
      generation: row.generation,
      currentHash: row.current_hash,
      previousHash: row.previous_hash,
      rotatedAt: row.rotated_at,
      rotationKeyHash: row.rotation_key_hash,
      expiresAt: row.expires_at,
      idleSeconds: row.idle_seconds,
      endedAt: row.ended_at,
      userDisabledAt: row.disabled_at,
      dpopJkt: row.dpop_jkt,
    },
    subject: subjectOf(row),
    salt: row.salt,
    retried: row.retried,
    retryStreak: row.retry_streak,
    windowStartedAt: row.window_started_at,
    windowCount: row.window_count,
  }
}

export interface NewGeneration {
  generation: number
  currentHash: Buffer
  previousGeneration: number
  previousHash: Buffer
  salt: Buffer
  keyHash: Buffer | null
  retryStreak: number
  /** The window of the limit per family. The count includes this rotation. */
  window: { startedAt: Date; count: number }
}

/** Sets the current token. The caller has locked the row. */
export async function writeGeneration(tx: Tx, id: string, now: Date, next: NewGeneration): Promise<void> {
  await tx
    .updateTable('families')
    .set({
      generation: next.generation,
      current_hash: next.currentHash,
      previous_generation: next.previousGeneration,
      previous_hash: next.previousHash,
      salt: next.salt,
      rotated_at: now,
      rotation_key_hash: next.keyHash,
      retry_streak: next.retryStreak,
      retried: false,
      window_started_at: next.window.startedAt,
      window_count: next.window.count,
    })
    .where('id', '=', id)
    .execute()
}

export async function writeRetry(tx: Tx, id: string, retryStreak: number): Promise<void> {
  await tx.updateTable('families').set({ retried: true, retry_streak: retryStreak }).where('id', '=', id).execute()
}

/** The session and the user behind an access token, if the session is live and the user enabled. */
export async function findLive(
  db: Db,
  now: Date,
  id: string,
): Promise<(FamilyFacts & { subject: Subject; userCreatedAt: Date }) | undefined> {
  const row = await db
    .selectFrom('families as f')
    .innerJoin('users as u', 'u.id', 'f.user_id')
    .where('f.id', '=', id)
    .where(liveAt(now))
    .where('u.disabled_at', 'is', null)
    .select([...familyColumns, ...subjectColumns, 'u.created_at as user_created_at'])
    .executeTakeFirst()
  return row && { ...factsOf(row), subject: subjectOf(row), userCreatedAt: row.user_created_at }
}
