import { transact, violatedConstraint } from '../db/errors.ts'
import type { Tx } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import { type Changes, changesIn, factsOf, sealedOf } from './changes.ts'
import { ADOPTION_SECONDS, type KeyDeps } from './keys.ts'
import { dueAt, type KeyFacts, keyPolicy, latestAt } from './lifecycle.ts'
import { fromPem, generateKey, type KeyMaterial, KeyRefused } from './material.ts'
import * as queries from './queries.ts'
import { open } from './sealing.ts'

/** Two operators who replace a compromised key at about the same time mean the same emergency. */
const SAME_EMERGENCY_MS = 2000
/** The longest that a verifier should keep a key set without asking again. */
const VERIFIER_CACHE_SECONDS = 600

/** For how long somebody may still accept a compromised key, in seconds. */
export interface Exposure {
  /** This issuer's other replicas. */
  replicas: number
  /**
   * Verifiers that work offline: as long as they cache the key set, then as long as an accepted token lives. A shared
   * cache that cannot reach the issuer may keep the old set for a day (stale-if-error): purge it.
   */
  verifiers: number
}

export type Rotation =
  /** A new key was published. It signs from `activatesAt` on. */
  | { outcome: 'scheduled'; next: string; activatesAt: Date }
  /** Nothing was done: a key is waiting already. */
  | { outcome: 'already_scheduled'; next: string; activatesAt: Date }
  /** There was no active key, so the new one became active at once. */
  | { outcome: 'activated'; active: string }
  /** The keys in `removed` are no longer published. Those in `trusted` still are, besides the active one. */
  | { outcome: 'replaced'; active: string; removed: string[]; trusted: string[]; exposure: Exposure }
  /** Nothing was done: somebody else has just replaced the key. */
  | { outcome: 'already_replaced'; active: string | undefined }

export interface RotationOptions {
  /** The active key has leaked: it is withdrawn at once, neither published nor accepted, and another key signs. */
  compromised: boolean
  /**
   * With `compromised`: the database and CLAVIGER_SECRET have leaked together, or the secret is lost. No existing key is
   * kept, not even `next` or those that are retiring, whether or not this secret opens them.
   */
  all?: boolean
}

/**
 * Rotates the signing key ahead of schedule.
 * @throws SealError if CLAVIGER_SECRET does not open the present keys: the servers could not use a key that it seals.
 */
export async function rotateKeys(deps: KeyDeps, operation: Operation, options: RotationOptions): Promise<Rotation> {
  const heads = (await queries.liveHeads(deps.db)).filter(({ kid }) => !deps.config.WITHDRAWN_KEYS.includes(kid))
  const target = heads.find(({ state }) => state === 'active')?.kid
  const spare = await generateKey(Number(deps.config.KEY_BITS))
  return await inTransaction(deps, operation, async (work) => {
    if (!options.all) requireUsable(deps, work.rows)
    return options.compromised
      ? await replace(deps, work, { spare, target, all: options.all === true })
      : await announce(deps, work, spare)
  })
}

/**
 * Imports a private key. It is published at once and signs after the publish-ahead time, or at once if there is no other
 * key.
 * @param pem PKCS #8 or PKCS #1.
 * @throws KeyRefused if the key is not fit, is or was here already, or if another key is waiting to become active.
 */
export async function importKey(
  deps: KeyDeps,
  operation: Operation,
  pem: string,
): Promise<{ kid: string; state: 'next' | 'active'; activatesAt: Date }> {
  const key = await fromPem(pem)
  if (deps.config.WITHDRAWN_KEYS.includes(key.kid)) throw new KeyRefused(`the key ${key.kid} is in WITHDRAWN_KEYS`)
  return await inTransaction(deps, operation, async ({ now, rows, changes }) => {
    requireUsable(deps, rows)
    const waiting = rows.find(({ state }) => state === 'next')
    if (waiting && waiting.kid !== key.kid) {
      throw new KeyRefused(`the key ${waiting.kid} is waiting to become active: import this one after that`)
    }
    const state = rows.some((row) => row.state === 'active') ? 'next' : 'active'
    try {
      await changes.add(key, state, 'imported')
    } catch (error) {
      if (violatedConstraint(error) !== 'signing_keys_pkey') throw error
      throw new KeyRefused(`the key ${key.kid} is already here, or was: a key is never taken in twice`)
    }
    const policy = keyPolicy(deps.config, deps.serverKeys[0].fingerprint)
    const activatesAt =
      state === 'active' ? now : dueAt({ state, createdAt: now, activatedAt: null, retiredAt: null }, policy)
    return { kid: key.kid, state, activatesAt }
  })
}

/**
 * All keys that ever existed, newest first. `dueAt` is when the schedule moves a key on; null once it is removed.
 * `latestAt` is when a `next` key signs even if services do not hold it.
 */
export async function listKeys({ db, config, serverKeys }: Pick<KeyDeps, 'db' | 'config' | 'serverKeys'>) {
  const policy = keyPolicy(config, serverKeys[0].fingerprint)
  return (await queries.allKeys(db)).map((row) => {
    const times = { createdAt: row.created_at, activatedAt: row.activated_at, retiredAt: row.retired_at }
    return {
      kid: row.kid,
      state: row.state,
      imported: row.imported,
      compromised: row.compromised,
      ...times,
      removedAt: row.removed_at,
      dueAt: row.state === 'removed' ? null : dueAt({ state: row.state, ...times }, policy),
      latestAt: row.state === 'next' ? latestAt(times, policy) : null,
    }
  })
}

/** Every key that is not removed, as the schedule sees it; `usable` says whether CLAVIGER_SECRET opens it. */
export async function inspectKeys({ db, serverKeys }: Pick<KeyDeps, 'db' | 'serverKeys'>): Promise<KeyFacts[]> {
  return (await queries.liveKeys(db)).map((row) => factsOf(row, serverKeys))
}

interface Work {
  tx: Tx
  now: Date
  rows: queries.KeyRow[]
  changes: Changes
}

/** Removes withdrawn keys that a restore has brought back before anything is decided, so that none of them is activated. */
async function inTransaction<T>(deps: KeyDeps, asked: Operation, work: (work: Work) => Promise<T>): Promise<T> {
  const { db, clock, config } = deps
  return await transact(db, async (tx) => {
    await queries.lockKeys(tx)
    // Read again, because others may have held the lock for a while.
    const operation = { ...asked, now: clock() }
    const changes = changesIn(tx, operation, deps)
    const live = await queries.liveKeys(tx)
    const rows = live.filter(({ kid }) => !config.WITHDRAWN_KEYS.includes(kid))
    for (const { kid } of live)
      if (!rows.some((row) => row.kid === kid)) await changes.remove(kid, { compromised: true })
    return await work({ tx, now: operation.now, rows, changes })
  })
}

function requireUsable({ serverKeys }: KeyDeps, rows: readonly queries.KeyRow[]): void {
  for (const row of rows) if (row.state !== 'retiring') open(row.kid, sealedOf(row), serverKeys).fill(0)
}

async function announce(
  { config, serverKeys }: KeyDeps,
  { now, rows, changes }: Work,
  spare: KeyMaterial,
): Promise<Rotation> {
  const policy = keyPolicy(config, serverKeys[0].fingerprint)
  const activation = (createdAt: Date) =>
    dueAt({ state: 'next', createdAt, activatedAt: null, retiredAt: null }, policy)
  const next = rows.find((row) => row.state === 'next')
  if (next) return { outcome: 'already_scheduled', next: next.kid, activatesAt: activation(next.created_at) }
  if (!rows.some((row) => row.state === 'active')) {
    await changes.add(spare, 'active', 'created')
    return { outcome: 'activated', active: spare.kid }
  }
  await changes.add(spare, 'next', 'created')
  return { outcome: 'scheduled', next: spare.kid, activatesAt: activation(now) }
}

/** @param target the key that was active when the operator asked: the schedule may have moved on in between. */
async function replace(
  { config }: KeyDeps,
  { tx, now, rows, changes }: Work,
  { spare, target, all }: { spare: KeyMaterial; target: string | undefined; all: boolean },
): Promise<Rotation> {
  const active = rows.find((row) => row.state === 'active')
  const beaten =
    (target !== undefined && !rows.some((row) => row.kid === target)) ||
    (!all && (await queries.compromisedSince(tx, new Date(now.getTime() - SAME_EMERGENCY_MS), config.WITHDRAWN_KEYS)))
  if (beaten) {
    return { outcome: 'already_replaced', active: active?.kid }
  }

  const bad = rows.filter((row) => all || row.kid === target)
  const kept = rows.filter((row) => !bad.includes(row))
  for (const row of bad) await changes.remove(row.kid, { compromised: true })
  let signer = kept.find((row) => row.state === 'active')?.kid
  if (signer === undefined) {
    // Prefer the `next` key: verifiers know it already, so new tokens are accepted everywhere at once.
    signer = kept.find((row) => row.state === 'next')?.kid
    if (signer === undefined) await changes.add(spare, 'active', 'created')
    else await changes.activate(signer)
  }
  signer ??= spare.kid
  return {
    outcome: 'replaced',
    active: signer,
    removed: bad.map((row) => row.kid),
    trusted: kept.map((row) => row.kid).filter((kid) => kid !== signer),
    exposure: { replicas: ADOPTION_SECONDS, verifiers: VERIFIER_CACHE_SECONDS + config.ACCESS_TOKEN_SECONDS },
  }
}
