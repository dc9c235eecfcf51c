import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { deriveServerKeys } from '../../src/config/secrets.ts'
import { authenticateToken, hashToken, mintFirst, mintSuccessor } from '../../src/tokens/refresh.ts'
import { createTestApp } from '../support/app.ts'
import { findSecrets } from '../support/canary.ts'

const { token } = mintFirst([deriveServerKeys(randomBytes(32))])

// The search over the whole run is only worth something if it finds what it looks for.
test.each([
  ['a refresh token', `{"msg":"x","body":"${token}"}`],
  ['a refresh token in hexadecimal', `families \\x${Buffer.from(token).toString('hex')}`],
  ['a refresh token', `{"url":"/x?next=%2F%3Ftoken%3D${token}"}`],
  ['a refresh token', `{"msg":"first line\\n${token}"}`],
  ['a refresh token', `users (x,${token},y)`],
  ['a refresh token', token],
  ['a device token', `{"msg":"dt1_${'aB3'.repeat(24)}"}`],
  ['a JWT', 'authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0abc.c2lnbmF0dXJlYWJj'],
  ['a private key (PEM)', '-----BEGIN PRIVATE KEY-----'],
  ['a cookie', 'cookie: __Host-refresh_token=abc'],
  ['a cookie', 'cookie: __Host-device=abc'],
  ['a password or server secret', 'email=four quiet otters hum&'],
])('the search for secrets at rest finds %s', (name, line) => {
  expect(findSecrets(`first line\n${line}\n`, ['four quiet otters hum'], 'log').join()).toContain(name)
})

test('the search for secrets at rest passes what may be there', () => {
  const line = `families (0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b,"\\\\x${hashToken(token).toString('hex')}")\nusers $argon2id$v=19$x`
  expect(findSecrets(line, ['four quiet otters hum'], 'dump')).toEqual([])
})

test('the search for secrets at rest passes a public key whose letters spell the beginning of a token', () => {
  const modulus = `${'ZTWNrq0a'.repeat(8)}rt1_${'kbHGjllR'.repeat(30)}`
  const sealed = `7274315f${randomBytes(200).toString('hex')}`
  expect(findSecrets(`signing_keys ("{""n"": ""${modulus}""}","\\\\x${sealed}")`, [], 'dump')).toEqual([])
})

test('a dump of the database yields no usable refresh token, not even to somebody who knows how they are made', async () => {
  await using t = await createTestApp()
  const { refreshToken } = await t.signUp()
  const successor = (await t.refresh(refreshToken)).json().refresh_token as string
  const row = await t.db.selectFrom('families').selectAll().executeTakeFirstOrThrow()

  // The thief of the dump has the row, and keys of his own. What he mints from them is not ours.
  const thiefs = deriveServerKeys(randomBytes(32))
  const forged = mintFirst([thiefs]).token
  const guess = authenticateToken([thiefs], forged)
  if (!guess || !row.salt) throw new Error('the row lacks its salt')
  for (const secret of [row.current_hash, row.previous_hash ?? row.current_hash, Buffer.concat([row.salt, row.salt])]) {
    const minted = mintSuccessor(thiefs, { ...guess, secret }, row.generation, row.salt)
    expect((await t.refresh(minted)).statusCode).toBe(401)
  }
  // And nothing that he tried has hurt the session.
  expect((await t.refresh(successor)).statusCode).toBe(200)
})

test('the server keys alone, without the token that was presented, yield no refresh token', async () => {
  await using t = await createTestApp()
  const { refreshToken } = await t.signUp()
  const presented = authenticateToken(t.deps.serverKeys, refreshToken)
  if (!presented) throw new Error('not authentic')
  const successor = (await t.refresh(refreshToken)).json().refresh_token as string
  const row = await t.db.selectFrom('families').select(['id', 'salt', 'current_hash']).executeTakeFirstOrThrow()

  // With the keys and the whole row, but a guessed secret: authentic in form, of no family's line.
  const minted = mintSuccessor(t.deps.serverKeys[0], { ...presented, secret: randomBytes(32) }, 1, row.salt as Buffer)
  expect(hashToken(minted).equals(row.current_hash)).toBe(false)
  // Control: with the secret that was presented it is the successor.
  expect(mintSuccessor(t.deps.serverKeys[0], presented, 1, row.salt as Buffer)).toBe(successor)
})
