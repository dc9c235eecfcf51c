import type { ColumnType, GeneratedAlways, Kysely, Transaction } from 'kysely'
import type { AssertionIdsTable, ClientFailuresTable, ClientSecretsTable, ClientsTable } from './client-tables.ts'

export type * from './client-tables.ts'

/** Column with a default: may be left out of an insert. */
type Defaulted<T> = ColumnType<T, T | undefined, T>
type Json<T> = ColumnType<T, string | undefined, string>

export interface UsersTable {
  id: string
  email: string
  email_verified: Defaulted<boolean>
  password_hash: string | null
  roles: Defaulted<string[]>
  claims: Json<Record<string, unknown>>
  disabled_at: Date | null
  password_disabled_at: Defaulted<Date | null>
  signed_in_at: Defaulted<Date | null>
  locale: Defaulted<string | null>
  must_verify: Defaulted<boolean>
  created_at: Date
}

export type Delivery = 'cookie' | 'body'

export interface FamiliesTable {
  id: string
  user_id: string
  auth_time: Date
  created_at: Date
  expires_at: Date
  window_started_at: Date
  retried: Defaulted<boolean>
  current_hash: Buffer
  previous_hash: Buffer | null
  salt: Buffer | null
  generation: number
  previous_generation: number | null
  window_count: Defaulted<number>
  rotated_at: Date
  rotation_key_hash: Buffer | null
  idle_seconds: number
  retry_streak: Defaulted<number>
  remember: boolean
  client_id: string
  delivery: Delivery
  scope: string[]
  audience: string[]
  amr: string[]
  user_agent: string | null
  address: string | null
  ended_at: Date | null
  end_cause: string | null
  dpop_jkt: Defaulted<string | null>
}

export type KeyState = 'next' | 'active' | 'retiring' | 'removed'

export interface SigningKeysTable {
  kid: string
  state: KeyState
  public_jwk: Json<Record<string, unknown>>
  sealed_private: Buffer | null
  sealed_by: string | null
  imported: Defaulted<boolean>
  compromised: Defaulted<boolean>
  created_at: Date
  activated_at: Date | null
  retired_at: Date | null
  removed_at: Date | null
}

export interface LoginFailuresTable {
  identifier_hash: Buffer
  of_device: Defaulted<boolean>
  user_id: string | null
  failures: number
  in_flight: Defaulted<number>
  blocked_until: Date
  last_attempt_at: Date
}

export interface LoginSpraysTable {
  prefix: string
  accounts: Buffer[]
  failed_at: Date[]
  last_failed_at: Date
  shrunk_until: Date | null
}

export type OneTimePurpose = 'verify_email' | 'reset_password' | 'change_email' | 'undo_email_change' | 'invitation'

export interface OneTimeCodesTable {
  id: string
  purpose: OneTimePurpose
  user_id: string | null
  email: string
  token_hash: Buffer
  code_hash: Buffer | null
  code_tries: Defaulted<number>
  details: Json<Record<string, unknown>>
  created_at: Date
  expires_at: Date
}

export interface MailCountsTable {
  address_hash: Buffer
  sent_at: Date[]
  last_sent_at: Date
}

export interface RateLimitsTable {
  policy: string
  key: string
  window_started_at: Date
  count: number
}

export interface AuditTable {
  id: string
  seq: GeneratedAlways<string>
  at: Date
  type: string
  outcome: 'success' | 'failure'
  reason: string | null
  actor: string
  user_id: string | null
  family_id: string | null
  client_id: string | null
  request_id: string | null
  address: string | null
  user_agent: string | null
  details: Json<Record<string, unknown>>
}

export interface OutboxTable {
  id: string
  kind: string
  sealed_payload: Buffer
  sealed_by: string
  created_at: Date
  attempts: Defaulted<number>
  taken_at: Defaulted<Date | null>
  due_at: Date
  last_failure: Defaulted<string | null>
  dead_at: Defaulted<Date | null>
}

export interface NoticesTable {
  user_id: string
  cause: string
  sent_at: Date[]
}

export type RevocationKind = 'session' | 'subject' | 'key' | 'all' | 'credential'
/** Who caused a revocation, in the words of CAEP 1.0. */
export type RevocationInitiator = 'user' | 'admin' | 'policy'

export interface RevocationsTable {
  id: string
  seq: Defaulted<string | null>
  kind: RevocationKind
  sid: string | null
  sub: string | null
  kid: string | null
  initiator: RevocationInitiator
  revoked_at: Date
  expires_at: Defaulted<Date | null>
}

export interface RevocationFeedTable {
  only_row: Defaulted<boolean>
  epoch: string
  incarnation: string
  last_seq: string
  longest_seconds: number
  longest_until: Date
}

export interface VerifiersTable {
  client_id: string
  instance: string
  epoch: string
  seq: string
  kids: string[]
  reported_at: Date
}

/**
 * Only its owner writes a table (docs/architecture.md). A statement may read the tables of the features below its own and, of
 * those above, `users` by key: a refresh reads roles, claims and whether the account is enabled; the lists of sessions, the
 * address; an attempt to sign in, the account; a notice, the address and the language of its owner. The limits of sign-ins
 * read `login_sprays`.
 */
export interface Schema {
  users: UsersTable
  families: FamiliesTable
  clients: ClientsTable
  client_secrets: ClientSecretsTable
  signing_keys: SigningKeysTable
  client_failures: ClientFailuresTable
  assertion_ids: AssertionIdsTable
  login_failures: LoginFailuresTable
  login_sprays: LoginSpraysTable
  one_time_codes: OneTimeCodesTable
  mail_counts: MailCountsTable
  rate_limits: RateLimitsTable
  outbox: OutboxTable
  notices: NoticesTable
  revocations: RevocationsTable
  revocation_feed: RevocationFeedTable
  verifiers: VerifiersTable
  audit: AuditTable
}

/** A handle on the database: the pool, or a transaction. */
export type Db = Kysely<Schema>
/** A transaction: a function that takes a Tx cannot run outside one. */
export type Tx = Transaction<Schema>
