import { pruneTrail } from './audit/pruning.ts'
import { createTally, type Tally } from './audit/tally.ts'
import { type Bell, createBell } from './bell.ts'
import type { Clients } from './clients/clients.ts'
import { type ClientService, startClients } from './clients/start.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config/config.ts'
import type { KeyList } from './config/secrets.ts'
import { pruneCodes, pruneMailCounts } from './credentials/codes/pruning.ts'
import type { ComputeTag } from './credentials/passwords/argon2.ts'
import { createPasswordHasher, type PasswordHasher } from './credentials/passwords/hasher.ts'
import { pruneFailures, pruneSprays } from './credentials/pruning.ts'
import type { Db } from './db/schema.ts'
import type { Shards } from './db/shards.ts'
import { createDpopJudge } from './dpop/judge.ts'
import { createFetch, type Fetch } from './fetch.ts'
import { pruneWindows } from './http/limits/pruning.ts'
import type { RevokeKey } from './keys/changes.ts'
import type { Keyring } from './keys/keyring.ts'
import { type KeyService, startKeys } from './keys/keys.ts'
import type { Log } from './log.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { createPublishedKeys, type FindPublishedKey } from './oauth/assertion/published-keys.ts'
import { pruneAssertionIds, pruneClientFailures } from './oauth/pruning.ts'
import type { Mailer } from './outbox/mail/mailer.ts'
import type { Handlers } from './outbox/outbox.ts'
import { pruneOutbox } from './outbox/pruning.ts'
import type { DpopJudge } from './proven-key.ts'
import type { Pruning } from './prune.ts'
import { keyRevoker } from './revocations/append.ts'
import { createFeed, type Feed } from './revocations/feed.ts'
import { pruneRevocations } from './revocations/pruning.ts'
import { pruneVerifiers } from './revocations/receipts/pruning.ts'
import { everybodyHolds } from './revocations/receipts/verifiers.ts'
import type { WasSeen } from './seen.ts'
import { pruneFamilies } from './sessions/pruning.ts'
import { carryOut } from './sign-in/account-mail.ts'

/** Everything that is created once and handed down. Each function states the parts that it needs. */
export interface Deps {
  config: Config
  db: Db
  /** The same database over connections reserved for refreshes. */
  refreshDb: Db
  /** The same database over the connections reserved for rotations. */
  rotationDb: Db
  /** How the database divides the families. */
  shards: Shards
  clock: Clock
  /** Records events that change nothing. */
  tally: Tally
  log: Log
  /** Keys derived from CLAVIGER_SECRET. */
  serverKeys: KeyList
  keyring: Keyring
  /** Judges proofs of possession. */
  dpop: DpopJudge
  /** Those that people sign in with, as they are now. */
  clients: Clients
  /** Whether services hold a key that is to sign, as far as they tell. */
  mayActivate(kid: string): Promise<boolean>
  hasher: PasswordHasher
  metrics: Metrics
  /** For every request of the server's own. */
  fetch: Fetch
  findPublishedKey: FindPublishedKey
  /** Rung when something has been enqueued. */
  outboxBell: Bell
  /** Rung when something has been revoked. */
  revocationBell: Bell
  revokeKey: RevokeKey
  /** What verifiers are told of. */
  feed: Feed
}

/** What must exist before anything is wired: settings, a database and its clock. */
export type Foundation = Pick<
  Deps,
  'config' | 'db' | 'refreshDb' | 'rotationDb' | 'shards' | 'clock' | 'log' | 'serverKeys'
> & {
  /** Remembers proofs of possession; by default in this process. */
  wasSeen?: WasSeen | undefined
}

/**
 * Wires a server, starts its signing keys and begins to follow its clients.
 * @param computeTag hashes passwords; by default, in this process.
 * @throws SealError if CLAVIGER_SECRET does not open the keys in the database.
 */
export async function createDeps(
  foundation: Foundation,
  computeTag?: ComputeTag,
): Promise<{ deps: Deps; keys: KeyService; clients: ClientService }> {
  const { config, db, clock } = foundation
  const metrics = createMetrics()
  const revocationBell = createBell()
  const revokeKey = keyRevoker({ revocationBell })
  const mayActivate = (kid: string) => everybodyHolds(db, clock(), kid)
  const keys = await startKeys({ ...foundation, revokeKey, mayActivate })
  const clients = await startClients(foundation)
  const hasher = createPasswordHasher({
    memoryKib: config.ARGON2_MEMORY_KIB,
    passes: config.ARGON2_PASSES,
    concurrency: config.HASH_CONCURRENCY,
    queue: config.HASH_QUEUE,
    ...(computeTag ? { computeTag } : {}),
    onDone: (seconds) => metrics.hashSeconds.observe(seconds),
  })
  const fetch = createFetch({ allow: config.OUTBOUND_ALLOW })
  const parts = {
    ...foundation,
    keyring: keys.keyring,
    clients: clients.clients,
    mayActivate,
    hasher,
    metrics,
    fetch,
    findPublishedKey: createPublishedKeys({ ...foundation, fetch }),
    outboxBell: createBell(),
    revocationBell,
    revokeKey,
  }
  const feed = createFeed({ ...parts, reloadKeys: keys.reload })
  return {
    deps: Object.assign(parts, { feed, dpop: createDpopJudge(parts), tally: createTally(parts) }),
    keys,
    clients,
  }
}

/** The retention of each feature's rows. */
export function prunings(config: Config): Pruning[] {
  return [
    pruneFamilies,
    pruneRevocations,
    pruneWindows,
    pruneFailures,
    pruneSprays,
    pruneClientFailures,
    pruneAssertionIds,
    pruneCodes,
    pruneMailCounts,
    pruneOutbox,
    pruneVerifiers,
    pruneTrail(config),
  ]
}

/** Who hands over what is in the outbox, by kind. */
export function handlers(deps: Parameters<typeof carryOut>[0] & { mailer: Mailer }): Handlers {
  return { mail: deps.mailer.deliver, account: carryOut(deps) }
}
