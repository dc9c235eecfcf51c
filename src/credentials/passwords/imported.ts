import type { Db } from '../../db/schema.ts'
import { parseForeign } from './foreign.ts'
import { parsePhc } from './phc.ts'
import { countForeignHashes } from './queries.ts'

/** Salt and tag have 128 bytes at most. */
const LONGEST = 512

/**
 * The form in which a hash of another system is stored. Besides the stored forms, those are read that other programs
 * write: base64 with padding, and passlib's, with `.` for `+`, PBKDF2's iterations without a name, and no name for SHA-1.
 * @returns undefined if it is of none of the functions that are verified, or costs more than a server can afford.
 */
export function storedForm(hash: string): string | undefined {
  if (hash.length > LONGEST) return undefined
  const unpadded = hash.replace(/=+(?=\$|$)/g, '')
  if (parsePhc(unpadded)) return unpadded
  const stored = /^\$(pbkdf2|scrypt)/.test(unpadded) ? fromPasslib(unpadded) : unpadded
  return parseForeign(stored) ? stored : undefined
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
