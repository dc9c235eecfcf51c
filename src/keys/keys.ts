import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import { transact } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import type { Log } from '../log.ts'
import { byServer } from '../operation.ts'
import { repeat } from '../schedule.ts'
import { createSemaphore } from '../semaphore.ts'
import { carryOut, changesIn, factsOf, type RevokeKey, sealedOf } from './changes.ts'
import { createKeyring, type HeldKey, type Keyring } from './keyring.ts'
import { type Action, keyPolicy, plan } from './lifecycle.ts'
import { fromDer, generateKey } from './material.ts'
import * as queries from './queries.ts'
import { open, SealError } from './sealing.ts'

export type KeyDeps = { db: Db; clock: Clock; config: Config; serverKeys: KeyList; revokeKey: RevokeKey }

/** Asked before a planned rotation: whether services have the key, as far as they tell. */
export type MayActivate = { mayActivate(kid: string): Promise<boolean> }

/** How long a replica may go on with old keys after another one has changed them. */
export const ADOPTION_SECONDS = 5
/** The schedule is checked at every twelfth reading of the keys: once a minute. */
const READINGS_PER_SCHEDULE = 12

export interface KeyService {
  keyring: Keyring
  /** Adopts the keys of the database at once, instead of at the next reading. */
  reload(): Promise<void>
  /** When the active key was activated, for the gauge of its age. */
  activeSince(): Date | undefined
  /** Stops the schedule and waits for the run that is under way. */
  stop(): Promise<void>
}

/**
 * Loads the keys, makes the first one if there is none, then follows the schedule and keeps the keyring up to date. There
 * is no leader: every replica checks once a minute what is due, and a lock in the database decides which one acts.
 * @throws SealError, which names CLAVIGER_SECRET, if the secret is not the one that sealed the keys.
 */
export async function startKeys(deps: KeyDeps & MayActivate & { log: Log }): Promise<KeyService> {
  const { db, serverKeys, log } = deps
  const withdrawn = new Set(deps.config.WITHDRAWN_KEYS)
  const { keyring, hold } = createKeyring()
  let held = new Map<string, HeldKey>()
  let seen = ''
  let activeSince: Date | undefined

  const read = async (): Promise<void> => {
    // A withdrawn key is not used even for the moment until the schedule removes it.
    const heads = (await queries.liveHeads(db)).filter(({ kid }) => !withdrawn.has(kid))
    const current = JSON.stringify(heads)
    if (current === seen) return
    const isNew = heads.some(({ kid }) => !held.has(kid))
    const rows = isNew ? await queries.liveKeys(db) : []
    const keys = new Map<string, HeldKey>()
    for (const { kid, state } of heads) {
      const known = held.get(kid) ?? (await unseal(rows.find((row) => row.kid === kid)))
      if (known) keys.set(kid, { ...known, state })
    }
    held = keys
    hold([...keys.values()])
    activeSince = heads.find(({ state }) => state === 'active')?.activated_at ?? undefined
    seen = current
  }

  const unseal = async (row: queries.KeyRow | undefined): Promise<HeldKey | undefined> => {
    if (!row) return undefined
    try {
      return await unsealed(deps, row)
    } catch (error) {
      if (!(error instanceof SealError)) throw error
      // Neither published nor used: somebody with access to the database may have planted the row.
      log.error({ kid: row.kid, state: row.state }, error.message)
      return undefined
    }
  }

  // Serialised, so that an older reading never replaces a newer one.
  const oneAtATime = createSemaphore({ permits: 1, queue: Number.POSITIVE_INFINITY })

  await warnOfWithdrawn(deps)
  for (const row of await queries.liveKeys(db)) {
    if (row.state !== 'retiring' && !withdrawn.has(row.kid)) open(row.kid, sealedOf(row), serverKeys).fill(0)
  }
  await advanceKeys(deps)
  await read()

  let readings = 0
  const schedule = repeat(log, {
    name: 'keys',
    everyMs: ADOPTION_SECONDS * 1000,
    work: () =>
      oneAtATime.run(async () => {
        if (++readings % READINGS_PER_SCHEDULE === 0) await advanceKeys(deps)
        await read()
      }),
    outage: {
      begins: 'the signing keys cannot be read: carrying on with those in memory',
      ends: 'the signing keys can be read again',
    },
  })
  return {
    keyring,
    reload: () => oneAtATime.run(read),
    activeSince: () => activeSince,
    stop: async () => {
      await schedule.stop()
      await oneAtATime.run(async () => {})
    },
  }
}

/** A table restored from a backup does not know of later withdrawals, so a stolen key comes back as if it were good. */
async function warnOfWithdrawn({ db, config, log }: Pick<KeyDeps, 'db' | 'config'> & { log: Log }): Promise<void> {
  const rows = await queries.allKeys(db)
  const kids = (holds: (row: (typeof rows)[number]) => boolean) => rows.filter(holds).map(({ kid }) => kid)
  const back = kids(({ kid, state }) => state !== 'removed' && config.WITHDRAWN_KEYS.includes(kid))
  if (back.length > 0) log.warn({ kids: back }, 'a key that was withdrawn is back, as after a restore; it is removed')
  const unlisted = kids(({ kid, compromised }) => compromised && !config.WITHDRAWN_KEYS.includes(kid))
  if (unlisted.length > 0) {
    log.warn({ kids: unlisted }, 'a restore would bring back compromised keys: put them into WITHDRAWN_KEYS')
  }
}

async function unsealed({ serverKeys }: { serverKeys: KeyList }, row: queries.KeyRow): Promise<HeldKey> {
  const der = open(row.kid, sealedOf(row), serverKeys)
  const material = await fromDer(der)
  der.fill(0)
  return { ...material, state: row.state }
}

/**
 * Does whatever the schedule has due.
 * @returns what was done.
 */
export async function advanceKeys(deps: KeyDeps & MayActivate): Promise<Action[]> {
  const { db, clock, config, serverKeys } = deps
  const policy = keyPolicy(config, serverKeys[0].fingerprint)
  const seen = await queries.liveKeys(db)
  const next = seen.find(({ state }) => state === 'next')?.kid
  const awaited = next !== undefined && !(await deps.mayActivate(next)) ? next : undefined
  const look = (rows: queries.KeyRow[], now: Date) =>
    plan(
      rows.map((row) => factsOf(row, serverKeys)),
      now,
      policy,
      awaited,
    )

  const due = look(seen, clock())
  if (due.length === 0) return []
  // Made before locking: it may take seconds, during which everybody else would wait.
  const spare = due.some(({ type }) => type === 'create') ? await generateKey(Number(config.KEY_BITS)) : undefined
  return await transact(db, async (tx) => {
    await queries.lockKeys(tx)
    const now = clock()
    const rows = await queries.liveKeys(tx)
    const actions = look(rows, now)
    await carryOut(actions, rows, changesIn(tx, byServer(now), deps), spare)
    return actions
  })
}
