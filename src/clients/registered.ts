import { listed } from '../config/origins.ts'
import type { Db, Tx } from '../db/schema.ts'
import { builtInClients, type Client, type ClientSettings, lifetimesOf, withAccount } from './clients.ts'
import { isClientId } from './identifiers.ts'
import { type ClientRow, enabledPublicClients, lockEnabled } from './queries.ts'

type ReadDeps = { db: Db; config: ClientSettings }

/** A registered client that people sign in with: what its row does not say is as the settings say. */
export function registeredClient(config: ClientSettings, row: ClientRow): Client {
  const usual = lifetimesOf(config)
  const isNative = row.type === 'native'
  return {
    id: row.id,
    type: isNative ? 'native' : 'browser',
    delivery: isNative ? 'body' : 'cookie',
    // The issuer's own pages may act for every client of a browser, as for `web`.
    origins: listed(isNative ? row.origins : [new URL(config.ISSUER).origin, ...row.origins]),
    scopes: withAccount(row.scopes ?? config.SCOPES),
    audiences: row.audiences ?? config.AUDIENCE,
    lifetimes: {
      sessionIdle: row.session_idle_seconds ?? usual.sessionIdle,
      sessionMax: row.session_max_seconds ?? usual.sessionMax,
      rememberIdle: row.remember_idle_seconds ?? usual.rememberIdle,
      rememberMax: row.remember_max_seconds ?? usual.rememberMax,
      accessToken: row.access_token_seconds ?? usual.accessToken,
    },
    dpopRequired: row.dpop_required,
  }
}

/** All clients that people sign in with, from the database, for commands: they keep none in memory. */
export async function readClients({ db, config }: ReadDeps): Promise<readonly Client[]> {
  const rows = await enabledPublicClients(db)
  return [...builtInClients(config), ...rows.map((row) => registeredClient(config, row))]
}

/** One of them that is registered. */
export async function readClient({ db, config }: ReadDeps, id: string): Promise<Client | undefined> {
  const [row] = isClientId(id) ? await enabledPublicClients(db, id) : []
  return row && registeredClient(config, row)
}

/**
 * Keeps a client as it is until the transaction ends, so that nothing begins that its disabling has not seen.
 * @returns whether it is enabled. Those that are built in always are.
 */
export async function holdClient(tx: Tx, { id }: Pick<Client, 'id'>): Promise<boolean> {
  return !isClientId(id) || (await lockEnabled(tx, id))
}
