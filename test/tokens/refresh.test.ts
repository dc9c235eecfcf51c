import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { deriveServerKeys, type KeyList } from '../../src/secrets.ts'
import {
  type AuthenticToken,
  authenticateToken,
  hashToken,
  mintFirst,
  mintSuccessor,
  mintSuccessorAgain,
} from '../../src/tokens/refresh.ts'

const keysOf = (...secrets: Buffer[]): KeyList => secrets.map(deriveServerKeys) as unknown as KeyList
const oldSecret = randomBytes(32)
const newSecret = randomBytes(32)
const keys = keysOf(oldSecret)
const family = '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b'

function read(list: KeyList, token: string): AuthenticToken {
  const read = authenticateToken(list, token)
  if (!read) throw new Error('not authentic')
  return read
}

test('a token says which family and generation it is of, and nothing else is needed to know it ours', () => {
  const token = mintFirst(keys, family)
  expect(token).toMatch(/^rt1_[A-Za-z0-9_-]{92}$/)
  expect(read(keys, token)).toMatchObject({ family, generation: 0, hash: hashToken(token) })
})

test('every single changed character makes it somebody else’s', () => {
  const token = mintFirst(keys, family)
  for (let at = 0; at < token.length; at++) {
    const changed = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
    expect(authenticateToken(keys, changed), `position ${at}`).toBeUndefined()
  }
})

test.each([
  ['nothing', ''],
  ['the prefix alone', 'rt1_'],
  ['one character more', `${mintFirst(keys, family)}A`],
  ['one character less', mintFirst(keys, family).slice(0, -1)],
  ['a trailing newline', `${mintFirst(keys, family)}\n`],
  ['padding', `${mintFirst(keys, family).slice(0, -1)}=`],
  ['standard base64 alphabet', mintFirst(keys, family).replace(/.$/, '+')],
  ['another prefix', mintFirst(keys, family).replace('rt1_', 'rt2_')],
  ['a JWT', 'eyJhbGciOiJub25lIn0.e30.'],
])('%s is not a token', (_name, text) => {
  expect(authenticateToken(keys, text)).toBeUndefined()
})

test('a token made under another secret is not ours, even if both secrets share their one-byte id', () => {
  const token = mintFirst(keysOf(newSecret), family)
  expect(authenticateToken(keys, token)).toBeUndefined()
  const twin = { ...deriveServerKeys(newSecret), id: keys[0].id }
  expect(authenticateToken(keys, mintFirst([twin], family))).toBeUndefined()
})

test('after a secret is put before it, old tokens are still ours, and new ones are made under the new one', () => {
  const rotated = keysOf(newSecret, oldSecret)
  const token = mintFirst(keys, family)
  expect(read(rotated, token).family).toBe(family)
  expect(authenticateToken(keys, mintFirst(rotated, family))).toBeUndefined()
})

test('the successor is a function of the presented token and the salt, so that a retry gets the same', () => {
  const presented = read(keys, mintFirst(keys, family))
  const salt = randomBytes(16)
  const successor = mintSuccessor(keys[0], presented, 1, salt)
  expect(mintSuccessor(keys[0], presented, 1, salt)).toBe(successor)
  expect(mintSuccessor(keys[0], presented, 1, randomBytes(16))).not.toBe(successor)
  expect(read(keys, successor)).toMatchObject({ family, generation: 1 })
})

test('a retry finds the same successor also after CLAVIGER_SECRET gained an entry', () => {
  const presented = read(keys, mintFirst(keys, family))
  const salt = randomBytes(16)
  const successor = mintSuccessor(keys[0], presented, 1, salt)
  const rotated = keysOf(newSecret, oldSecret)
  expect(mintSuccessorAgain(rotated, presented, 1, salt, hashToken(successor))).toBe(successor)
  expect(mintSuccessorAgain(keysOf(newSecret), presented, 1, salt, hashToken(successor))).toBeUndefined()
})

test('what the row holds and the presented token yield nothing without the server key', () => {
  const presented = read(keys, mintFirst(keys, family))
  const salt = randomBytes(16)
  const successor = read(keys, mintSuccessor(keys[0], presented, 1, salt))
  const thiefs = deriveServerKeys(randomBytes(32))
  expect(read([thiefs], mintSuccessor(thiefs, presented, 1, salt)).secret.equals(successor.secret)).toBe(false)
})
