import type { Clock } from '../../clock.ts'
import type { Config } from '../../config/config.ts'
import { isDataFault } from '../../db/errors.ts'
import { share } from '../../db/pools.ts'
import type { Db } from '../../db/schema.ts'
import { type Shards, spansShards } from '../../db/shards.ts'
import { Problem, type Reason } from '../../errors.ts'
import { type Rotated, type Rotation, type RotationRules, rotateThoseCurrent } from './rotation-queries.ts'

/**
 * Rotates if the request needs no decision.
 * @param isGone whether the client has hung up: its token is then left as it is, since nobody would receive another.
 * @returns undefined if it was not rotated: take the careful path.
 * @throws Problem `unavailable` after too long a wait, with nothing changed; or the database's error, after which it is
 * unknown whether the token was rotated.
 */
export type Rotate = (rotation: Rotation, isGone: () => boolean) => Promise<Rotated | undefined>

interface Waiting {
  rotation: Rotation
  isGone: () => boolean
  since: number
  resolve: (rotated: Rotated | undefined) => void
  reject: (error: unknown) => void
}

const BATCH = 32
/** Half a second of work for two cores. A client behind so many is better told to come back. */
const LONGEST_QUEUE = 1024
/** The same as for any other wait for the database. */
const LONGEST_WAIT_MS = 2000

type RotatorDeps = { rotationDb: Db; shards: Shards; clock: Clock; config: Pick<Config, 'DATABASE_POOL_SIZE'> }

/**
 * Rotations that arrive while a statement is under way are gathered and sent together in the next one, so that a round
 * trip and a commit, which waits for the disk, serve many. A rotation that arrives when nothing is under way is sent at
 * once.
 *
 * A batch is of one shard, because no statement locks rows of several, and each shard has one statement under way at most. So a
 * family occurs at most once at a time, because one statement changes a row only once. No machine has all connections: one that
 * answers nothing would keep the sessions of the others waiting.
 */
export function createRotator(deps: RotatorDeps, rules: RotationRules): Rotate {
  const waiting: Waiting[] = []
  /** The shards whose statement is under way. */
  const busy = new Set<number>()
  const { rotations: mostLines } = share(deps.config.DATABASE_POOL_SIZE, deps.shards.isDivided())
  let lines = 0
  let alarm: NodeJS.Timeout | undefined

  const isFree = ({ rotation }: Waiting): boolean => {
    const shard = deps.shards.of(rotation.family)
    if (busy.has(shard)) return false
    const machine = deps.shards.machineOf(shard)
    const neighbours = [...busy].filter((each) => deps.shards.machineOf(each) === machine)
    return neighbours.length < Math.max(1, mostLines - 1)
  }

  /** Rejects those that have waited too long, even while the statement before them hangs. */
  const watch = (): void => {
    clearTimeout(alarm)
    while (waiting[0] && age(waiting[0]) >= LONGEST_WAIT_MS)
      waiting.shift()?.reject(tooBusy('waited too long to rotate'))
    if (waiting[0]) alarm = setTimeout(watch, LONGEST_WAIT_MS - age(waiting[0])).unref()
  }

  const send = async (connection: Db): Promise<void> => {
    const first = waiting.find(isFree)
    if (!first) return
    const shard = deps.shards.of(first.rotation.family)
    const batch = takeBatch(waiting, ({ rotation }) => deps.shards.of(rotation.family) === shard)
    busy.add(shard)
    try {
      if (batch.length > 0) await settle(deps, connection, rules, batch)
    } finally {
      busy.delete(shard)
    }
  }

  const run = async (): Promise<void> => {
    lines++
    while (waiting.some(isFree)) {
      try {
        // The connection comes first: who has hung up or waited too long, and what time it is, is found out after the
        // wait.
        await deps.rotationDb.connection().execute(async (connection) => {
          watch()
          await send(connection)
        })
      } catch (error) {
        for (const { reject } of waiting.splice(0)) reject(error)
      }
    }
    lines--
  }

  return (rotation, isGone) =>
    new Promise((resolve, reject) => {
      if (waiting.length >= LONGEST_QUEUE) return reject(tooBusy('too many wait to rotate'))
      const each = { rotation, isGone, since: performance.now(), resolve, reject }
      waiting.push(each)
      if (waiting.length === 1) watch()
      if (lines < mostLines && isFree(each)) void run()
    })
}

const age = ({ since }: Waiting): number => performance.now() - since

function tooBusy(reason: Reason): Problem {
  return new Problem('unavailable', { reason, retryAfter: 1 })
}

/** Takes those that have waited longest and have not hung up, each family once. @param belongs whether one may be taken. */
function takeBatch(waiting: Waiting[], belongs: (each: Waiting) => boolean): Waiting[] {
  const families = new Set<string>()
  const batch: Waiting[] = []
  const left: Waiting[] = []
  for (const each of waiting) {
    if (each.isGone()) {
      each.reject(new Problem('invalid_request', { reason: 'the client went away' }))
      continue
    }
    const fits = batch.length < BATCH && belongs(each) && !families.has(each.rotation.family)
    families.add(each.rotation.family)
    if (fits) batch.push(each)
    else left.push(each)
  }
  waiting.splice(0, waiting.length, ...left)
  return batch
}

/** Rotates a batch and settles the promise of each of its rotations. Never rejects. */
async function settle(deps: RotatorDeps, connection: Db, rules: RotationRules, batch: Waiting[]): Promise<void> {
  const now = deps.clock()
  try {
    const rotations = batch.map(({ rotation }) => rotation)
    const rotated = await rotateThoseCurrent(connection, now, rules, rotations)
    for (const { rotation, resolve } of batch) resolve(rotated.get(rotation.family))
  } catch (error) {
    // Families were distributed, or a shard was split, since the database was asked.
    if (spansShards(error)) await deps.shards.reload(connection).catch(() => {})
    // The database rejected the values of one rotation: the others must not fail with it.
    if ((isDataFault(error) || spansShards(error)) && batch.length > 1) {
      for (const each of batch) await settle(deps, connection, rules, [each])
      return
    }
    // Whether the batch was committed is unknown, so each client is told to try again.
    for (const { reject } of batch) reject(error)
  }
}
