import { hmac, type KeyList } from '../config/secrets.ts'
import { HOUR, MINUTE } from '../durations.ts'
import type { FailedAccount, SprayRule } from './spray-queries.ts'

const RULE: SprayRule = { accounts: 50, withinMs: 10 * MINUTE, shrunkForMs: HOUR }

/** How many distinct accounts have failed when a spray is detected. */
export const SPRAY_DETECTED = RULE.accounts + 1
/** After this time a failure no longer counts. */
export const SPRAY_WINDOW_MS = RULE.withinMs

const IDENTIFIER_LENGTH = 16

/** What an account is noted under. While the list of secrets changes, replicas may note one account under two of them. */
export function sprayIdentifiers(serverKeys: KeyList, email: string): [Buffer, ...Buffer[]] {
  const identify = (keys: KeyList[number]) => hmac(keys.identifiers, email).subarray(0, IDENTIFIER_LENGTH)
  const [newest, ...older] = serverKeys
  return [identify(newest), ...older.map(identify)]
}

/** A failure to sign in, to be noted with the decision on the attempt. */
export function failedFrom(serverKeys: KeyList, address: string | null, email: string): FailedAccount {
  return { address, account: sprayIdentifiers(serverKeys, email)[0], rule: RULE }
}
