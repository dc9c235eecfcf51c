import { randomUUIDv7 } from 'node:crypto'
import { record } from '../audit/audit.ts'
import type { Config } from '../config/config.ts'
import { transact, violatedConstraint } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import { checkRegistration } from './check.ts'
import { builtInClients, explicitPages } from './clients.ts'
import { newClientId } from './identifiers.ts'
import { allPublicClients, type ClientRow, insertClient, insertSecret, lockClients } from './queries.ts'
import { ClientRefused } from './refused.ts'
import type { PublicRegistration, Registration, ServiceAuth } from './registration.ts'
import { mintSecret, provesBySecret, SECRET_LIFETIME_MS } from './secrets.ts'

/** Their scopes and audiences travel with each rotation. Services do not, so there may be any number of them. */
const MOST_PUBLIC_CLIENTS = 100

export interface AddedClient {
  clientId: string
  /** Of a service that proves itself by one. Shown once: only its hash is stored. */
  secret?: string
}

/** @throws ClientRefused. */
export async function addClient(
  { db, config }: { db: Db; config: Config },
  operation: Operation,
  stated: Registration,
): Promise<AddedClient> {
  const input = checkRegistration(config, stated)
  const taken = () => new ClientRefused('conflict', `a client is called “${input.name}” already`)
  if (builtInClients(config).some(({ id }) => id === input.name.toLowerCase())) throw taken()
  const clientId = newClientId()
  try {
    return await transact(db, async (tx) => {
      await lockClients(tx)
      if (input.type !== 'service') refuseCrowdAndClash(config, await allPublicClients(tx), input)
      const times = { created_at: operation.now, changed_at: operation.now }
      await insertClient(tx, { id: clientId, ...columnsOf(input), ...times })
      const event = { type: 'client.created', outcome: 'success', clientId, details: { type: input.type } } as const
      await record(tx, operation, event)
      if (input.type !== 'service' || !provesBySecret(authOf(input))) return { clientId }
      return { clientId, secret: await addSecret(tx, operation.now, clientId, 1) }
    })
  } catch (error) {
    throw violatedConstraint(error) === 'clients_name_key' ? taken() : error
  }
}

/** The caller has locked the clients. @returns the secret. */
export async function addSecret(tx: Tx, now: Date, clientId: string, slot: 1 | 2): Promise<string> {
  const { text, hash } = mintSecret()
  await insertSecret(tx, {
    id: randomUUIDv7(),
    client_id: clientId,
    slot,
    secret_hash: hash,
    created_at: now,
    expires_at: new Date(now.getTime() + SECRET_LIFETIME_MS),
  })
  return text
}

/**
 * A page never acts for a native client as well: it would get the refresh token where its scripts can read it.
 * @throws ClientRefused.
 */
function refuseCrowdAndClash(
  config: Config,
  people: readonly ClientRow[],
  { type, origins = [] }: PublicRegistration,
): void {
  if (people.length >= MOST_PUBLIC_CLIENTS) {
    const message = `there are ${MOST_PUBLIC_CLIENTS} browser and native clients, which is as many as there may be: remove one first`
    throw new ClientRefused('conflict', message)
  }
  const others = people.filter((other) => other.type !== type).flatMap((other) => other.origins)
  const builtIn = type === 'native' ? explicitPages(config) : config.NATIVE_ORIGINS
  const clash = origins.find((origin) => others.includes(origin) || builtIn.includes(origin))
  if (clash === undefined) return
  const kinds = type === 'native' ? 'a browser client: a page' : 'a native client: a web view'
  throw new ClientRefused('conflict', `${clash} is an origin of ${kinds} has one of the two kinds, never both`)
}

function authOf(input: Registration & { type: 'service' }): ServiceAuth {
  return input.auth ?? { method: 'client_secret_basic' }
}

function columnsOf(input: Registration) {
  const auth = input.type === 'service' ? authOf(input) : undefined
  const people: Partial<PublicRegistration> = input.type === 'service' ? {} : input
  return {
    name: input.name,
    type: input.type,
    scopes: input.scopes ?? null,
    audiences: input.audiences ?? null,
    origins: people.origins ?? [],
    session_idle_seconds: people.sessionIdleSeconds ?? null,
    session_max_seconds: people.sessionMaxSeconds ?? null,
    remember_idle_seconds: people.rememberIdleSeconds ?? null,
    remember_max_seconds: people.rememberMaxSeconds ?? null,
    access_token_seconds: input.accessTokenSeconds ?? null,
    auth_method: auth?.method ?? null,
    jwks: auth?.method === 'private_key_jwt' && auth.jwks ? JSON.stringify(auth.jwks) : null,
    jwks_uri: auth?.method === 'private_key_jwt' ? (auth.jwksUri ?? null) : null,
    workload: auth?.method === 'workload' ? JSON.stringify(workloadOf(auth)) : null,
    states_visitor_address: input.type === 'service' && input.statesVisitorAddress === true,
    dpop_required: input.dpopRequired === true,
  }
}

function workloadOf({ method: _method, ...workload }: Extract<ServiceAuth, { method: 'workload' }>) {
  return workload
}
