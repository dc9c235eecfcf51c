import type { Schema } from './schema.ts'

/**
 * Where the rows of a table lie once the database is spread over machines (docs/adr/0034):
 * - `family`: divided by the id of the session, which every refresh token names;
 * - `everywhere`: a copy on every machine, because refreshes read it beside the session;
 * - `coordinator`: on the machine that servers connect to.
 */
export type Placement = 'family' | 'everywhere' | 'coordinator'

export const PLACEMENTS: Readonly<Record<keyof Schema, Placement>> = {
  families: 'family',
  users: 'everywhere',
  assertion_ids: 'coordinator',
  audit: 'coordinator',
  client_failures: 'coordinator',
  client_secrets: 'coordinator',
  clients: 'coordinator',
  login_failures: 'coordinator',
  login_sprays: 'coordinator',
  mail_counts: 'coordinator',
  notices: 'coordinator',
  one_time_codes: 'coordinator',
  outbox: 'coordinator',
  rate_limits: 'coordinator',
  revocation_feed: 'coordinator',
  revocations: 'coordinator',
  signing_keys: 'coordinator',
  verifiers: 'coordinator',
}
