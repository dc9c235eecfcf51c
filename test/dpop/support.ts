import { createHash } from 'node:crypto'
import { deriveKeyList, type KeyList } from '../../src/config/secrets.ts'

/** As of CLAVIGER_SECRET with entries of these names, newest first. */
export function testKeys(newest = 'one', ...older: string[]): KeyList {
  const secretOf = (name: string) => createHash('sha256').update(name).digest()
  return deriveKeyList([secretOf(newest), ...older.map(secretOf)])
}
