import type { ClientAuthMethod } from '../db/schema.ts'

/** What an operator states about a new client. What is left out is as the settings say. */
export type Registration = PublicRegistration | ServiceRegistration

interface Common {
  /** What people call it: unique, whatever the case of its letters. */
  name: string
  scopes?: string[] | undefined
  audiences?: string[] | undefined
  accessTokenSeconds?: number | undefined
  /** Whether all its tokens are bound to a key, and none is issued without the proof of one (RFC 9449). */
  dpopRequired?: boolean | undefined
}

export interface PublicRegistration extends Common {
  type: 'browser' | 'native'
  origins?: string[] | undefined
  sessionIdleSeconds?: number | undefined
  sessionMaxSeconds?: number | undefined
  rememberIdleSeconds?: number | undefined
  rememberMaxSeconds?: number | undefined
}

export interface ServiceRegistration extends Common {
  type: 'service'
  /** By default client_secret_basic. */
  auth?: ServiceAuth | undefined
  /** Whether it may state its visitors' addresses. It then has to prove itself by client_secret_basic. */
  statesVisitorAddress?: boolean | undefined
}

/** How a service proves itself. */
export type ServiceAuth =
  | { method: Extract<ClientAuthMethod, 'client_secret_basic' | 'client_secret_post'> }
  | ({ method: Extract<ClientAuthMethod, 'private_key_jwt'> } & KeySource)
  | ({ method: Extract<ClientAuthMethod, 'workload'> } & Workload)

/** Public keys, or where they are published (https). */
export type KeySource = { jwks: KeySet; jwksUri?: undefined } | { jwks?: undefined; jwksUri: string }

/** RFC 7517 §5. */
export interface KeySet {
  keys: Record<string, unknown>[]
}

/** Whose tokens prove a workload (RFC 7523). */
export interface Workload {
  issuer: string
  /** Compared as whole strings, like the claims. */
  subject: string
  claims: Record<string, string>
  /** Where the issuer publishes its keys, if its metadata is not to be asked. */
  jwksUri?: string | undefined
}
