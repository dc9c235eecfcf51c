import { randomUUIDv7 } from 'node:crypto'
import { record } from '../audit/audit.ts'
import { transact, violatedConstraint } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import { newClientId } from './identifiers.ts'
import { countPublicClients, insertClient, insertSecret, lockClients } from './queries.ts'
import { ClientRefused } from './refused.ts'
import type { PublicRegistration, Registration, ServiceAuth } from './registration.ts'
import { mintSecret, SECRET_LIFETIME_MS } from './secrets.ts'

/** Their scopes and audiences travel with each rotation. Services do not, so there may be any number of them. */
const MOST_PUBLIC_CLIENTS = 100

export interface AddedClient {
  clientId: string
  /** Of a service that proves itself by one. Shown once: only its hash is stored. */
  secret?: string
}

/**
 * Registers a client.
 * @throws ClientRefused if the name is taken, or there are too many clients that people sign in with.
 */
export async function addClient(deps: { db: Db }, operation: Operation, input: Registration): Promise<AddedClient> {
  const clientId = newClientId()
  try {
    return await transact(deps.db, async (tx) => {
      await lockClients(tx)
      if (input.type !== 'service' && (await countPublicClients(tx)) >= MOST_PUBLIC_CLIENTS) {
        throw new ClientRefused(
          'conflict',
          `there are ${MOST_PUBLIC_CLIENTS} browser and native clients: remove one first`,
        )
      }
      await insertClient(tx, {
        id: clientId,
        ...columnsOf(input),
        created_at: operation.now,
        changed_at: operation.now,
      })
      await record(tx, operation, {
        type: 'client.created',
        outcome: 'success',
        clientId,
        details: { type: input.type },
      })
      if (input.type !== 'service' || !provesBySecret(input.auth)) return { clientId }
      return { clientId, secret: await addSecret(tx, operation.now, clientId, 1) }
    })
  } catch (error) {
    if (violatedConstraint(error) !== 'clients_name_key') throw error
    throw new ClientRefused('conflict', `a client is called “${input.name}” already`)
  }
}

/** The caller has locked the clients. @returns the secret. */
export async function addSecret(tx: Tx, now: Date, clientId: string, slot: 1 | 2): Promise<string> {
  const { text, hash } = mintSecret()
  const expiresAt = new Date(now.getTime() + SECRET_LIFETIME_MS)
  await insertSecret(tx, {
    id: randomUUIDv7(),
    client_id: clientId,
    slot,
    secret_hash: hash,
    created_at: now,
    expires_at: expiresAt,
  })
  return text
}

const DEFAULT_AUTH: ServiceAuth = { method: 'client_secret_basic' }

export function provesBySecret({ method }: ServiceAuth = DEFAULT_AUTH): boolean {
  return method === 'client_secret_basic' || method === 'client_secret_post'
}

function columnsOf(input: Registration) {
  const auth = input.type === 'service' ? (input.auth ?? DEFAULT_AUTH) : undefined
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
  }
}

function workloadOf({ method: _method, ...workload }: Extract<ServiceAuth, { method: 'workload' }>) {
  return workload
}
