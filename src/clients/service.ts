import type { Config } from '../config/config.ts'
import type { Db } from '../db/schema.ts'
import { MINUTE } from '../durations.ts'
import { isClientId } from './identifiers.ts'
import { type ClientRow, findEnabledService, setSecretUsed } from './queries.ts'
import type { KeySet, ServiceAuth, Workload } from './registration.ts'
import type { StoredSecret } from './secrets.ts'

/** A program that acts for itself (RFC 6749 §4.4): its tokens are no user’s. */
export interface ServiceClient {
  id: string
  name: string
  /** All that it may ask for, and what it gets if it asks for none. */
  scopes: readonly string[]
  /** The first is the default; the others may be asked for. */
  audiences: readonly string[]
  accessTokenSeconds: number
  auth: ServiceAuth
  /** Whether it is believed about its visitors' addresses. */
  statesVisitorAddress: boolean
  /** Whether all its tokens are bound to a key, and none is issued without the proof of one (RFC 9449). */
  dpopRequired: boolean
  /** Those that have not expired, two at most. */
  secrets: readonly StoredSecret[]
  /** When an operator last changed something about it, its secrets included. */
  changedAt: Date
}

/**
 * Reads a service client from the database, so that what an operator has changed counts from the next call on.
 * @returns undefined if there is none, or it is disabled.
 */
export async function findServiceClient(
  { db, config }: { db: Db; config: Pick<Config, 'AUDIENCE' | 'ACCESS_TOKEN_SECONDS'> },
  now: Date,
  id: string,
): Promise<ServiceClient | undefined> {
  const row = isClientId(id) ? await findEnabledService(db, now, id) : undefined
  return (
    row && {
      id: row.id,
      name: row.name,
      scopes: row.scopes ?? [],
      audiences: row.audiences ?? config.AUDIENCE,
      accessTokenSeconds: row.access_token_seconds ?? config.ACCESS_TOKEN_SECONDS,
      auth: authOf(row),
      statesVisitorAddress: row.states_visitor_address,
      dpopRequired: row.dpop_required,
      secrets: row.secrets,
      changedAt: row.changed_at,
    }
  )
}

/** Notes when a secret was last used, to the minute: a busy service would else write a row at each call. */
export async function noteSecretUsed({ db }: { db: Db }, now: Date, { id, lastUsedAt }: StoredSecret): Promise<void> {
  if (lastUsedAt && now.getTime() - lastUsedAt.getTime() < MINUTE) return
  await setSecretUsed(db, now, id)
}

/** How a service proves itself, as its row says. The constraints of the table hold what goes with which method. */
export function authOf(row: Pick<ClientRow, 'id' | 'auth_method' | 'jwks' | 'jwks_uri' | 'workload'>): ServiceAuth {
  const { auth_method: method, jwks, jwks_uri: jwksUri, workload } = row
  if (method === 'private_key_jwt' && jwksUri !== null) return { method, jwksUri }
  if (method === 'private_key_jwt') return { method, jwks: jwks as unknown as KeySet }
  if (method === 'workload') return { method, ...(workload as unknown as Workload) }
  if (method === null) throw new Error(`${row.id} is no service client`)
  return { method }
}
