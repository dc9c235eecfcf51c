import type { Deps } from '../deps.ts'
import { type Rotated, type Rotation, rotateIfCurrent, rotateThoseCurrent } from './rotation-queries.ts'

/** Rotates if everything about the request is plain; undefined if not. */
export type Rotate = (rotation: Rotation) => Promise<Rotated | undefined>

interface Waiting {
  rotation: Rotation
  resolve: (rotated: Rotated | undefined) => void
  reject: (error: unknown) => void
}

const BATCH = 32

/**
 * Rotations that arrive while one is on its way to the database wait for it and go together in the next statement: a
 * commit, which waits for the disk, and a round trip then serve many. Alone, a rotation goes at once and by itself.
 *
 * A family is in a batch once at most, because one statement changes a row only once; and what asks for less than was
 * granted goes by itself, because PostgreSQL's arrays cannot hold lists of different lengths.
 */
export function createRotator(deps: Pick<Deps, 'db'>): Rotate {
  const waiting: Waiting[] = []
  let busy = false

  const run = async (): Promise<void> => {
    busy = true
    while (waiting.length > 0) {
      const batch = takeBatch(waiting)
      try {
        const found = await rotateAll(
          deps,
          batch.map(({ rotation }) => rotation),
        )
        for (const [index, { resolve }] of batch.entries()) resolve(found[index])
      } catch (error) {
        // Whether it was committed is unknown to all of them alike: each is told to try again.
        for (const { reject } of batch) reject(error)
      }
    }
    busy = false
  }

  return (rotation) =>
    new Promise((resolve, reject) => {
      if (rotation.narrow.scope || rotation.narrow.audience) {
        resolve(rotateIfCurrent(deps.db, rotation))
        return
      }
      waiting.push({ rotation, resolve, reject })
      if (!busy) void run()
    })
}

/** Those who wait longest, each family once. */
function takeBatch(waiting: Waiting[]): Waiting[] {
  const families = new Set<string>()
  const batch: Waiting[] = []
  const left: Waiting[] = []
  for (const each of waiting) {
    const fits = batch.length < BATCH && !families.has(each.rotation.family)
    families.add(each.rotation.family)
    if (fits) batch.push(each)
    else left.push(each)
  }
  waiting.splice(0, waiting.length, ...left)
  return batch
}

async function rotateAll({ db }: Pick<Deps, 'db'>, rotations: Rotation[]): Promise<(Rotated | undefined)[]> {
  const [first, ...others] = rotations
  if (first && others.length === 0) return [await rotateIfCurrent(db, first)]
  const rotated = await rotateThoseCurrent(db, rotations)
  return rotations.map(({ family }) => rotated.get(family))
}
