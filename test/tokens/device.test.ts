import { randomBytes, randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { deriveServerKeys, type KeyList } from '../../src/config/secrets.ts'
import { authenticateDevice, DEVICE_LIFETIME, mintDevice } from '../../src/tokens/device.ts'

const keysOf = (...secrets: Buffer[]): KeyList => secrets.map(deriveServerKeys) as unknown as KeyList
const [oldSecret, newSecret] = [randomBytes(32), randomBytes(32)]
const keys = keysOf(oldSecret)
const now = new Date('2026-11-27T12:00:00.900Z')
const userId = randomUUID()
const token = mintDevice(keys, now, userId)

test('a token names a device and the user who has signed in on it', () => {
  expect(token).toMatch(/^dt1_[A-Za-z0-9_-]{72}$/)
  const device = authenticateDevice(keys, now, token)
  expect(device).toMatchObject({ userId, token })
  expect(device?.id).toHaveLength(16)
  // Another of the same user is another device; the same device may have a newer token.
  expect(authenticateDevice(keys, now, mintDevice(keys, now, userId))?.id).not.toEqual(device?.id)
  expect(authenticateDevice(keys, now, mintDevice(keys, now, userId, device?.id))?.id).toEqual(device?.id)
})

test('every single changed character makes it somebody else’s', () => {
  for (let at = 0; at < token.length; at++) {
    const changed = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
    expect(authenticateDevice(keys, now, changed), `position ${at}`).toBeUndefined()
  }
})

test.each([
  ['nothing', ''],
  ['one character more', `${token}A`],
  ['one character less', token.slice(0, -1)],
  ['a trailing newline', `${token}\n`],
  ['standard base64 alphabet', token.replace(/.$/, '+')],
  ['another prefix', token.replace('dt1_', 'rt1_')],
])('%s is not a token', (_name, text) => {
  expect(authenticateDevice(keys, now, text)).toBeUndefined()
})

test('it is good for a year', () => {
  const after = (milliseconds: number) => authenticateDevice(keys, new Date(now.getTime() + milliseconds), token)
  expect(after(DEVICE_LIFETIME - 1000)).toBeDefined()
  expect(after(DEVICE_LIFETIME)).toBeUndefined()
})

test('it stays good while its secret is listed, and is minted under the newest', () => {
  expect(authenticateDevice(keysOf(newSecret, oldSecret), now, token)).toMatchObject({ userId })
  expect(authenticateDevice(keysOf(newSecret), now, token)).toBeUndefined()
  const newer = mintDevice(keysOf(newSecret, oldSecret), now, userId)
  expect(authenticateDevice(keysOf(newSecret), now, newer)).toMatchObject({ userId })
  // Two secrets may share their one-byte id.
  const twin = { ...deriveServerKeys(newSecret), id: keys[0].id }
  expect(authenticateDevice(keys, now, mintDevice([twin], now, userId))).toBeUndefined()
})
