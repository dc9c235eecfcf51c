import type { Config } from '../config/config.ts'
import type { ClientType, Db } from '../db/schema.ts'
import { builtInClients } from './clients.ts'
import { type ClientRow, secretsOf, selectClients } from './queries.ts'
import { ClientRefused } from './refused.ts'
import type { ServiceAuth } from './registration.ts'
import type { StoredSecret } from './secrets.ts'
import { authOf } from './service.ts'

/** A client as operators see it. Null: as the settings say. */
export interface ClientRecord {
  id: string
  name: string
  type: ClientType
  builtIn: boolean
  scopes: string[] | null
  audiences: string[] | null
  /** Null for a built-in one: those of its setting. */
  origins: string[] | null
  sessionIdleSeconds: number | null
  sessionMaxSeconds: number | null
  rememberIdleSeconds: number | null
  rememberMaxSeconds: number | null
  accessTokenSeconds: number | null
  /** Of a service. */
  auth: ServiceAuth | null
  statesVisitorAddress: boolean
  dpopRequired: boolean
  /** Newest first, expired ones included. */
  secrets: Omit<StoredSecret, 'hash'>[]
  disabledAt: Date | null
  createdAt: Date | null
}

type ListDeps = { db: Db; config: Config }

/** All clients: those that are built in, then those that were registered, oldest first. */
export async function listClients({ db, config }: ListDeps): Promise<ClientRecord[]> {
  return [...builtInRecords(config), ...(await recordsOf(db, await selectClients(db)))]
}

/** @throws ClientRefused if there is none. */
export async function findClientBy({ db, config }: ListDeps, idOrName: string): Promise<ClientRecord> {
  const builtIn = builtInRecords(config).find(({ id }) => id === idOrName)
  if (builtIn) return builtIn
  // Text that PostgreSQL cannot hold is nobody's name.
  const rows = idOrName.includes('\0') ? [] : await selectClients(db, idOrName)
  const [found] = await recordsOf(db, rows)
  if (!found) throw new ClientRefused('not_found', 'there is no such client')
  return found
}

/** The same without those that are built in. @throws ClientRefused. */
export async function findRegistered(deps: ListDeps, idOrName: string): Promise<ClientRecord> {
  const client = await findClientBy(deps, idOrName)
  if (client.builtIn) throw new ClientRefused('conflict', `${client.id} is built in: its settings alone change it`)
  return client
}

function builtInRecords(config: Config): ClientRecord[] {
  const rest = {
    scopes: null,
    audiences: null,
    origins: null,
    auth: null,
    statesVisitorAddress: false,
    dpopRequired: false,
    secrets: [],
    ...NO_LIFETIMES,
  }
  return builtInClients(config).map(({ id, type }) => ({
    id,
    name: id,
    type,
    builtIn: true,
    ...rest,
    disabledAt: null,
    createdAt: null,
  }))
}

const NO_LIFETIMES = {
  sessionIdleSeconds: null,
  sessionMaxSeconds: null,
  rememberIdleSeconds: null,
  rememberMaxSeconds: null,
  accessTokenSeconds: null,
}

async function recordsOf(db: Db, rows: readonly ClientRow[]): Promise<ClientRecord[]> {
  const secrets = await secretsOf(
    db,
    rows.map(({ id }) => id),
  )
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    type: row.type,
    builtIn: false,
    scopes: row.scopes,
    audiences: row.audiences,
    origins: row.origins,
    sessionIdleSeconds: row.session_idle_seconds,
    sessionMaxSeconds: row.session_max_seconds,
    rememberIdleSeconds: row.remember_idle_seconds,
    rememberMaxSeconds: row.remember_max_seconds,
    accessTokenSeconds: row.access_token_seconds,
    auth: row.type === 'service' ? authOf(row) : null,
    statesVisitorAddress: row.states_visitor_address,
    dpopRequired: row.dpop_required,
    secrets: secrets
      .filter(({ clientId }) => clientId === row.id)
      .map(({ id, createdAt, expiresAt, lastUsedAt }) => ({ id, createdAt, expiresAt, lastUsedAt })),
    disabledAt: row.disabled_at,
    createdAt: row.created_at,
  }))
}
