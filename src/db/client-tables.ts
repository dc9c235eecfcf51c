import type { ColumnType } from 'kysely'

type Defaulted<T> = ColumnType<T, T | undefined, T>

export type ClientType = 'browser' | 'native' | 'service'
export type ClientAuthMethod = 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt' | 'workload'

export interface ClientsTable {
  id: string
  name: string
  type: ClientType
  scopes: string[] | null
  audiences: string[] | null
  origins: string[]
  session_idle_seconds: number | null
  session_max_seconds: number | null
  remember_idle_seconds: number | null
  remember_max_seconds: number | null
  access_token_seconds: number | null
  auth_method: ClientAuthMethod | null
  jwks: ColumnType<Record<string, unknown> | null, string | null>
  jwks_uri: string | null
  workload: ColumnType<Record<string, unknown> | null, string | null>
  states_visitor_address: Defaulted<boolean>
  dpop_required: Defaulted<boolean>
  disabled_at: Defaulted<Date | null>
  created_at: Date
  changed_at: Date
}

export interface ClientSecretsTable {
  id: string
  client_id: string
  slot: 1 | 2
  secret_hash: Buffer
  created_at: Date
  expires_at: Date
  last_used_at: Defaulted<Date | null>
}

export interface ClientFailuresTable {
  key_hash: Buffer
  failures: number
  blocked_until: Date
  last_failed_at: Date
}

export interface AssertionIdsTable {
  client_id: string
  jti_hash: Buffer
  expires_at: Date
}
