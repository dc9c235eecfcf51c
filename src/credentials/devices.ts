import { hash } from 'node:crypto'
import type { KeyList } from '../config/secrets.ts'
import { authenticateDevice, type Device, mintDevice } from '../tokens/device.ts'

/** How many users of one browser are remembered. */
const MOST = 5

/**
 * Reads the device tokens that came with a request, newest first. Those that are not ours are ignored, so that a sign-in
 * with a forged token is one without any.
 */
export function readDevices(keys: KeyList, now: Date, tokens: readonly string[]): Device[] {
  return tokens.slice(0, MOST).flatMap((token) => authenticateDevice(keys, now, token) ?? [])
}

/**
 * The tokens that the device is to keep after a sign-in, newest first. A device that was known keeps its id, and so its
 * counter: a fresh one at each sign-in would let somebody who knew the password once collect counters to guess with.
 */
export function rememberDevice(
  keys: KeyList,
  now: Date,
  known: readonly Device[],
  userId: string,
): [string, ...string[]] {
  const ofUser = known.find((device) => device.userId === userId)
  const others = known.filter((device) => device.userId !== userId).map(({ token }) => token)
  return [mintDevice(keys, now, userId, ofUser?.id), ...others.slice(0, MOST - 1)]
}

/**
 * What the counter of a device is kept under. No key is needed, since nobody can guess the id, and so the counter outlives
 * any change of CLAVIGER_SECRET.
 */
export function counterOf({ id }: Device): Buffer {
  return hash('sha256', Buffer.concat([Buffer.from('claviger/device'), id]), 'buffer')
}
