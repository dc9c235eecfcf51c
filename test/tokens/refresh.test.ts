import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { deriveServerKeys, type KeyList } from '../../src/config/secrets.ts'
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
const first = (list: KeyList): string => mintFirst(list).token

function read(list: KeyList, token: string): AuthenticToken {
  const read = authenticateToken(list, token)
  if (!read) throw new Error('not authentic')
  return read
}

test('a token says which family and generation it is of, and nothing else is needed to know it ours', () => {
  const { token, family } = mintFirst(keys)
  expect(token).toMatch(/^rt1_[A-Za-z0-9_-]{92}$/)
  expect(family).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(read(keys, token)).toMatchObject({ family, generation: 0, hash: hashToken(token) })
})

test('every single changed character makes it somebody else’s', () => {
  const token = first(keys)
  for (let at = 0; at < token.length; at++) {
    const changed = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
    expect(authenticateToken(keys, changed), `position ${at}`).toBeUndefined()
  }
})

test.each([
  ['nothing', ''],
  ['the prefix alone', 'rt1_'],
  ['one character more', `${first(keys)}A`],
  ['one character less', first(keys).slice(0, -1)],
  ['a trailing newline', `${first(keys)}\n`],
  ['padding', `${first(keys).slice(0, -1)}=`],
  ['standard base64 alphabet', first(keys).replace(/.$/, '+')],
  ['another prefix', first(keys).replace('rt1_', 'rt2_')],
  ['a JWT', 'eyJhbGciOiJub25lIn0.e30.'],
])('%s is not a token', (_name, text) => {
  expect(authenticateToken(keys, text)).toBeUndefined()
})

test('a token made under another secret is not ours, even if both secrets share their one-byte id', () => {
  const token = first(keysOf(newSecret))
  expect(authenticateToken(keys, token)).toBeUndefined()
  const twin = { ...deriveServerKeys(newSecret), id: keys[0].id }
  expect(authenticateToken(keys, first([twin]))).toBeUndefined()
})

test('after a secret is put before it, old tokens are still ours, and new ones are made under the new one', () => {
  const rotated = keysOf(newSecret, oldSecret)
  const token = first(keys)
  expect(read(rotated, token)).toEqual(read(keys, token))
  expect(authenticateToken(keys, first(rotated))).toBeUndefined()
})

test('the successor is a function of the presented token and the salt, so that a retry gets the same', () => {
  const presented = read(keys, first(keys))
  const salt = randomBytes(16)
  const successor = mintSuccessor(keys[0], presented, 1, salt)
  expect(mintSuccessor(keys[0], presented, 1, salt)).toBe(successor)
  expect(mintSuccessor(keys[0], presented, 1, randomBytes(16))).not.toBe(successor)
  expect(read(keys, successor)).toMatchObject({ family: presented.family, generation: 1 })
})

test('a retry finds the same successor also after CLAVIGER_SECRET gained an entry', () => {
  const presented = read(keys, first(keys))
  const salt = randomBytes(16)
  const successor = mintSuccessor(keys[0], presented, 1, salt)
  const made = { generation: 1, salt, hash: hashToken(successor) }
  const rotated = keysOf(newSecret, oldSecret)
  expect(mintSuccessorAgain(rotated, presented, made)).toBe(successor)
  expect(mintSuccessorAgain(keysOf(newSecret), presented, made)).toBeUndefined()
})

test('what the row holds and the presented token yield nothing without the server key', () => {
  const presented = read(keys, first(keys))
  const salt = randomBytes(16)
  const successor = read(keys, mintSuccessor(keys[0], presented, 1, salt))
  const thiefs = deriveServerKeys(randomBytes(32))
  expect(read([thiefs], mintSuccessor(thiefs, presented, 1, salt)).secret.equals(successor.secret)).toBe(false)
})

test('the id of a family does not lead back to what its tokens hold', () => {
  const { token, family } = mintFirst(keys)
  const bytes = Buffer.from(token.slice(4), 'base64url')
  expect(bytes.includes(Buffer.from(family.replaceAll('-', ''), 'hex'))).toBe(false)
  // A token that names the id where the handle belongs is of another family.
  const { handle: _handle, ...rest } = read(keys, token)
  const guess = mintSuccessor(
    keys[0],
    { ...rest, handle: Buffer.from(family.replaceAll('-', ''), 'hex') },
    500,
    randomBytes(16),
  )
  expect(read(keys, guess).family).not.toBe(family)
})
