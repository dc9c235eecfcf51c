import type { Config } from '../../config/config.ts'
import type { Db } from '../../db/schema.ts'
import { parseForeign } from './foreign.ts'
import { type Phc, parsePhc } from './phc.ts'
import { countForeignHashes } from './queries.ts'

/** Salt and tag have 128 bytes at most. */
const LONGEST = 512

/** Of argon2id: a quarter of a gigabyte, and about a second of a slow core, as with hashes of other functions. */
const MOST = { memoryKib: 2 ** 18, work: 2 ** 20 }

type Present = Pick<Config, 'ARGON2_MEMORY_KIB' | 'ARGON2_PASSES'>

/**
 * The form in which a hash of another system is stored. Besides the stored forms, those are read that other programs
 * write: base64 with padding, and passlib's, with `.` for `+`, PBKDF2's iterations without a name, and no name for SHA-1.
 * @param present the cost of hashes that are made now: what is set here is afforded.
 * @returns undefined if it is of none of the functions that are verified, or costs more than a server can afford.
 */
export function storedForm(hash: string, present: Present): string | undefined {
  if (hash.length > LONGEST) return undefined
  const unpadded = hash.replace(/=+(?=\$|$)/g, '')
  const phc = parsePhc(unpadded)
  if (phc) return isAffordable(phc, present) ? unpadded : undefined
  const stored = /^\$(pbkdf2|scrypt)/.test(unpadded) ? fromPasslib(unpadded) : unpadded
  return parseForeign(stored) ? stored : undefined
}

function isAffordable({ memoryKib, passes }: Phc, present: Present): boolean {
  const own = present.ARGON2_MEMORY_KIB
  return (
    memoryKib <= Math.max(MOST.memoryKib, own) && memoryKib * passes <= Math.max(MOST.work, own * present.ARGON2_PASSES)
  )
}

function fromPasslib(hash: string): string {
  const [, scheme, cost = '', ...bytes] = hash.split('$')
  const name = scheme === 'pbkdf2' ? 'pbkdf2-sha1' : scheme
  // The length of the tag (`l`) shows in the tag itself.
  const parameters = cost.replace(/^(?=\d+$)/, 'i=').replace(/,l=\d+$/, '')
  return ['', name, parameters, ...bytes.map((each) => each.replaceAll('.', '+'))].join('$')
}

/** How many accounts still have a hash that another system made, by function. */
export async function importedHashes(db: Db): Promise<{ scheme: string; accounts: number }[]> {
  return await countForeignHashes(db)
}
