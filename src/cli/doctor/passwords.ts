import type { Config } from '../../config/config.ts'
import { createPasswordHasher } from '../../credentials/passwords/hasher.ts'
import { importedHashes } from '../../credentials/passwords/imported.ts'
import type { Db } from '../../db/schema.ts'
import { type Finding, fine, unsure } from './finding.ts'

const ROUNDS = 5

/** Hashes a few times with the server's own settings. */
export async function checkPasswords(config: Config): Promise<Finding> {
  const { ARGON2_MEMORY_KIB: memoryKib, ARGON2_PASSES: passes, HASH_CONCURRENCY: concurrency } = config
  const times: number[] = []
  const hasher = createPasswordHasher({
    memoryKib,
    passes,
    concurrency: 1,
    queue: 0,
    onDone: (seconds) => void times.push(seconds * 1000),
  })
  while (times.length < ROUNDS) await hasher.hash('how long does this take?')
  // The fastest round shows what the machine can do; the others were slowed by something else.
  return judgePasswords(Math.min(...times), { memoryKib, passes, concurrency })
}

export function judgePasswords(ms: number, cost: { memoryKib: number; passes: number; concurrency: number }): Finding {
  const { memoryKib, passes, concurrency } = cost
  const perSecond = Math.round((1000 / ms) * concurrency)
  const message = `argon2id with m=${memoryKib}, t=${passes} takes ${Math.round(ms)} ms here: about ${perSecond} sign-ins a second at most, ${concurrency} at a time`
  if (ms > 500) {
    return unsure(
      'passwords',
      message,
      'people wait for it: lower ARGON2_MEMORY_KIB or ARGON2_PASSES, or use a faster machine',
    )
  }
  // Time is linear in memory. Users hardly notice 100 ms, and an attacker pays in proportion.
  const affordable = Math.floor((memoryKib * 100) / ms / 8192) * 8192
  if (affordable >= 2 * memoryKib) {
    return fine(
      'passwords',
      message,
      `there is room: ARGON2_MEMORY_KIB=${affordable} would take about 100 ms and cost an attacker ${Math.floor(affordable / memoryKib)} times as much`,
    )
  }
  return fine('passwords', message)
}

/** Counts the accounts whose hash another system has made. No finding if there is none. */
export async function checkImportedHashes(db: Db): Promise<Finding[]> {
  const found = await importedHashes(db)
  if (found.length === 0) return []
  const total = found.reduce((sum, { accounts }) => sum + accounts, 0)
  const schemes = found.map(({ scheme, accounts }) => `${scheme} ${accounts}`).join(', ')
  return [
    fine(
      'passwords',
      `${total} ${total === 1 ? 'account has' : 'accounts have'} the hash of another system (${schemes})`,
      'each is replaced when its owner signs in; until then a failed sign-in takes longer than others, see “Imported hashes” in docs/divergences.md',
    ),
  ]
}
