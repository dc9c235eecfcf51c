import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { deriveServerKeys } from '../../src/config/secrets.ts'
import { open, SealError, seal } from '../../src/keys/sealing.ts'

const KID = 'k'.repeat(43)
const secret = randomBytes(32)
const keys = deriveServerKeys(secret)
const other = deriveServerKeys(randomBytes(32))
const plain = Buffer.from('a private key')

test('what was sealed opens, whichever place the secret has in the list', () => {
  const sealed = seal(KID, plain, keys)
  expect(open(KID, sealed, [keys])).toEqual(plain)
  expect(open(KID, sealed, [other, keys])).toEqual(plain)
})

test('nothing of the plain text shows, and sealing twice gives different bytes', () => {
  const first = seal(KID, plain, keys)
  const second = seal(KID, plain, keys)
  expect(first.sealed.includes(plain)).toBe(false)
  expect(first.sealed.subarray(0, 12)).not.toEqual(second.sealed.subarray(0, 12))
  expect(first.sealed).toHaveLength(12 + plain.length + 16)
})

test('a change of any bit is noticed', () => {
  const { sealed, sealedBy } = seal(KID, plain, keys)
  for (let index = 0; index < sealed.length; index++) {
    const altered = Buffer.from(sealed)
    altered[index] = (altered[index] ?? 0) ^ 1
    expect(() => open(KID, { sealed: altered, sealedBy }, [keys])).toThrow(SealError)
  }
  for (const length of [0, 1, 12, 27, sealed.length - 1]) {
    expect(() => open(KID, { sealed: sealed.subarray(0, length), sealedBy }, [keys])).toThrow(SealError)
  }
})

test('a sealed key cannot be passed off as another', () => {
  expect(() => open('x'.repeat(43), seal(KID, plain, keys), [keys])).toThrow(SealError)
})

test('the error names the setting and no value', () => {
  const sealed = seal(KID, plain, keys)
  const opening = () => open(KID, sealed, [other])
  expect(opening).toThrow(/CLAVIGER_SECRET/)
  try {
    opening()
  } catch (error) {
    const { message } = error as Error
    for (const value of [secret.toString('base64'), secret.toString('hex'), keys.fingerprint, other.fingerprint]) {
      expect(message).not.toContain(value)
    }
  }
})

test('a seal that claims another secret of the list does not open with it', () => {
  const { sealed } = seal(KID, plain, keys)
  expect(() => open(KID, { sealed, sealedBy: other.fingerprint }, [keys, other])).toThrow(SealError)
})
