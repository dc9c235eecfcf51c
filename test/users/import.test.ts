import { pbkdf2Sync, scryptSync } from 'node:crypto'
import argon2 from 'argon2'
import bcrypt from 'bcrypt'
import { describe, expect, test, vi } from 'vitest'
import { computeHere } from '../../src/credentials/passwords/argon2.ts'
import { createTestCli, run } from '../cli/support.ts'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'
import { openMailboxes } from '../support/mailboxes.ts'
import { move, outcome as outcomeOfAnswer, undo } from './address.ts'
import { auditOf } from './support.ts'

const salt = 'salt of sixteen!'
const base64 = (bytes: string | Buffer) => Buffer.from(bytes).toString('base64').replaceAll('=', '')
const HASH = `$pbkdf2-sha256$i=1000$${base64(salt)}$${base64(pbkdf2Sync(TEST_PASSWORD, salt, 1000, 32, 'sha256'))}`
const lines = (...users: unknown[]) => users.map((user) => JSON.stringify(user)).join('\n')
const importInto = (t: TestApp, stdin: string | Uint8Array, ...options: string[]) =>
  run(['users', 'import', '-', '--json', ...options], { env: t.env, stdin })
const outcomeOf = async (running: ReturnType<typeof run>) => {
  const { code, out, err } = await running
  return { code, err, ...(out ? (JSON.parse(out) as Record<string, unknown>) : {}) }
}
const hashOf = async (t: TestApp, email: string) =>
  (await t.db.selectFrom('users').select('password_hash').where('email', '=', email).executeTakeFirst())?.password_hash

describe('an account that was imported', () => {
  test('signs in with its password, which is argon2id from then on', async () => {
    await using t = await createTestApp()
    const id = crypto.randomUUID()
    const ada = {
      id,
      email: 'Ada@Example.com',
      password_hash: HASH,
      email_verified: true,
      roles: ['editor'],
      claims: { team: 'blue' },
      created_at: '2020-02-03T04:05:06Z',
    }
    expect(await outcomeOf(importInto(t, lines(ada)))).toMatchObject({ code: 0, imported: 1, skipped: 0, faults: [] })
    expect(await hashOf(t, 'ada@example.com')).toBe(HASH)
    const signedIn = await t.login({ email: 'ada@example.com', password: TEST_PASSWORD })
    expect(signedIn.statusCode).toBe(200)
    expect(signedIn.json().user).toMatchObject({
      id,
      email: 'ada@example.com',
      email_verified: true,
      roles: ['editor'],
    })
    expect(await hashOf(t, 'ada@example.com')).toMatch(/^\$argon2id\$/)
    expect((await t.login({ email: 'ada@example.com', password: TEST_PASSWORD })).statusCode).toBe(200)
    expect(await auditOf(t, 'user.imported')).toMatchObject([
      { actor: expect.stringMatching(/^operator:/), details: { accounts: 1 } },
    ])
  })

  test.each([
    ['bcrypt', bcrypt.hashSync(TEST_PASSWORD, 4)],
    ['scrypt', `$scrypt$ln=4,r=8,p=1$${base64(salt)}$${base64(scryptSync(TEST_PASSWORD, salt, 32, { N: 16 }))}`],
    ['PBKDF2', HASH],
  ])('with a hash of %s keeps it until its owner signs in', async (_kind, hash) => {
    await using t = await createTestApp()
    const email = 'ada@example.com'
    await importInto(t, lines({ email, password_hash: hash }))
    expect((await t.login({ email, password: 'not my password' })).statusCode).toBe(401)
    expect(await hashOf(t, email)).toBe(hash)
    for (let time = 0; time < 2; time++) {
      expect((await t.login({ email, password: TEST_PASSWORD })).statusCode).toBe(200)
      expect(await hashOf(t, email)).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    }
  })

  test('costs a failed attempt at least what any other costs, and gives the same answer', async () => {
    await using t = await createTestApp({ computeTag: computeHere })
    await importInto(t, lines({ email: 'ada@example.com', password_hash: HASH }, { email: 'eve@example.com' }))
    const computed = vi.spyOn(argon2, 'hash')
    for (const email of ['ada@example.com', 'eve@example.com', 'nobody@example.com']) {
      computed.mockClear()
      const answer = await t.login({ email, password: 'not my password' })
      expect([answer.statusCode, answer.json().code]).toEqual([401, 'invalid_credentials'])
      expect(computed.mock.calls.map(([, options]) => [options?.memoryCost, options?.timeCost])).toEqual([[19456, 2]])
    }
    expect(await hashOf(t, 'ada@example.com')).toBe(HASH)
  })

  test('does not sign in while it is disabled', async () => {
    await using t = await createTestApp()
    await importInto(t, lines({ email: 'ada@example.com', password_hash: HASH, disabled: true }))
    expect((await t.login({ email: 'ada@example.com', password: TEST_PASSWORD })).statusCode).toBe(401)
    expect(await hashOf(t, 'ada@example.com')).toBe(HASH)
  })

  test('that signs in several times at once is renewed once, and nobody is refused', async () => {
    await using t = await createTestApp()
    await importInto(t, lines({ email: 'ada@example.com', password_hash: HASH }))
    const answers = await atOnce(4, () => t.login({ email: 'ada@example.com', password: TEST_PASSWORD }))
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 200])
    expect(await hashOf(t, 'ada@example.com')).toMatch(/^\$argon2id\$/)
  })

  test('is not held off by failures from before it was there', async () => {
    await using t = await createTestApp()
    for (let i = 0; i < 6; i++) await t.login({ email: 'ada@example.com', password: 'not my password' })
    await importInto(t, lines({ email: 'ada@example.com', password_hash: HASH }))
    expect((await t.login({ email: 'ada@example.com', password: TEST_PASSWORD })).statusCode).toBe(200)
  })
})

describe('a file', () => {
  test('with a fault makes no account, and each fault is told by its line', async () => {
    await using t = await createTestApp()
    await t.register('taken@example.com', TEST_PASSWORD)
    const file = [
      lines({ email: 'good@example.com', password_hash: HASH }),
      '{',
      '',
      '[]',
      lines(
        {},
        { email: 'ada@example.com', password: TEST_PASSWORD },
        { email: 'ada@example.com', password_hash: `$scrypt$ln=30,r=8,p=1$${base64(salt)}$${base64(salt)}` },
        { email: 'no address' },
        { email: 'ada@example.com', roles: 'admin' },
        { email: 'ada@example.com', claims: { sub: 'another' } },
        { email: 'ada@example.com', created_at: '2999-01-01T00:00:00Z' },
        { email: 'GOOD@example.com' },
        { email: 'taken@example.com' },
        { email: 'ada@example.com', id: 'a1' },
        { email: 'ada@example.com', roles: ['a b'] },
        { email: 'ada@example.com', claims: { note: 'x'.repeat(5000) } },
      ),
    ].join('\n')
    const outcome = await outcomeOf(importInto(t, file))
    expect(outcome).toMatchObject({ code: 1, imported: 0, accounts: 0 })
    expect(outcome).toHaveProperty('faults', [
      { line: 2, fault: 'It is not JSON' },
      { line: 4, fault: 'It is not a JSON object' },
      { line: 5, fault: 'email is missing' },
      { line: 6, fault: expect.stringMatching(/^It has a member besides id, email, /) },
      { line: 7, fault: expect.stringMatching(/^password_hash is of no form/) },
      { line: 8, fault: expect.stringContaining('address is not acceptable') },
      { line: 9, fault: 'roles is not a list of texts' },
      { line: 10, fault: expect.stringContaining('meaning of their own in tokens: sub') },
      { line: 11, fault: 'created_at is no time, or in the future' },
      { line: 12, fault: 'The address or the id is that of line 1' },
      { line: 13, fault: expect.stringMatching(/^The address or the id has an account, /) },
      { line: 14, fault: 'id is not a UUID in lower case' },
      { line: 15, fault: expect.stringContaining('A role has 1 to 64 letters') },
      { line: 16, fault: expect.stringContaining('within 4096') },
    ])
    expect(await hashOf(t, 'good@example.com')).toBeUndefined()
    expect(await auditOf(t, 'user.imported')).toEqual([])
    const { out } = await run(['users', 'import', '-'], { env: t.env, stdin: file })
    expect(out).toContain('line 7: password_hash is of no form')
    expect(out).toContain('14 lines at fault; nothing was imported.')
    expect(out).not.toContain('ln=30')
  })

  test('that is only tried makes nothing', async () => {
    await using t = await createTestApp()
    const file = lines({ email: 'ada@example.com', password_hash: HASH })
    const outcome = await outcomeOf(importInto(t, file, '--dry-run'))
    expect(outcome).toMatchObject({ code: 0, imported: 0, accounts: 1, dry_run: true })
    expect(await hashOf(t, 'ada@example.com')).toBeUndefined()
  })

  test('gives no address away that somebody may take back', async () => {
    await using t = await createTestApp()
    const user = await t.signUp('ada@example.com')
    const wayBack = await move(t, openMailboxes(t), user, { from: 'ada@example.com', to: 'mallory@example.net' })
    const file = lines({ email: 'Ada@example.com', password_hash: HASH }, { email: 'eve@example.com' })
    expect(await outcomeOf(importInto(t, file))).toMatchObject({ code: 1, accounts: 0, faults: [{ line: 1 }] })
    expect(await outcomeOf(importInto(t, file, '--skip-existing'))).toMatchObject({ code: 0, imported: 1, skipped: 1 })
    expect(outcomeOfAnswer(await undo(t, wayBack))).toEqual([204, undefined])
  })

  test('may leave accounts that are there as they are', async () => {
    await using t = await createTestApp()
    await t.register('ada@example.com', TEST_PASSWORD)
    const before = await hashOf(t, 'ada@example.com')
    const file = lines({ email: 'ada@example.com', password_hash: HASH }, { email: 'eve@example.com' })
    expect(await outcomeOf(importInto(t, file, '--skip-existing'))).toMatchObject({ code: 0, imported: 1, skipped: 1 })
    expect(await hashOf(t, 'ada@example.com')).toBe(before)
    expect(
      await t.db
        .selectFrom('users')
        .select(['password_hash', 'email_verified', 'roles', 'disabled_at'])
        .where('email', '=', 'eve@example.com')
        .execute(),
    ).toEqual([{ password_hash: null, email_verified: false, roles: [], disabled_at: null }])
  })

  test('of more accounts than go into one statement is all or nothing', async () => {
    await using t = await createTestApp()
    const users = Array.from({ length: 1201 }, (_, index) => ({ email: `user-${index}@example.com` }))
    expect(await outcomeOf(importInto(t, lines(...users)))).toMatchObject({ imported: 1201 })
    const more = lines({ email: 'new@example.com' }, ...users.slice(1200))
    expect(await outcomeOf(importInto(t, more))).toMatchObject({ code: 1, faults: [{ line: 2 }] })
    expect(await hashOf(t, 'new@example.com')).toBeUndefined()
  })

  test('that is not UTF-8, too long in a line, or not there is refused', async () => {
    await using t = await createTestApp()
    const bad = new Uint8Array([...Buffer.from('{}\n{"email":"'), 0xff])
    expect(await outcomeOf(importInto(t, bad))).toMatchObject({
      code: 1,
      err: expect.stringContaining('line 2 is not UTF-8'),
    })
    const long = `{"email":"${'a'.repeat(65_536)}"}`
    expect(await outcomeOf(importInto(t, long))).toMatchObject({
      code: 1,
      err: expect.stringContaining('line 1 has more'),
    })
    const missing = await run(['users', 'import', '/nowhere/users.jsonl'], { env: t.env })
    expect(missing).toMatchObject({ code: 3, err: expect.stringContaining('ENOENT') })
  })
})

test('doctor counts the hashes of other systems', async () => {
  await using cli = await createTestCli()
  const bcrypt = '$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'
  const file = lines(
    { email: 'ada@example.com', password_hash: HASH },
    { email: 'eve@example.com', password_hash: bcrypt },
    { email: 'bob@example.com', password_hash: bcrypt.replace('2b', '2a') },
    { email: 'nobody@example.com' },
  )
  await cli.json(['users', 'import', '-'], { stdin: file })
  const { out } = await cli.run(['doctor'], { columns: 400 })
  expect(out).toContain('3 accounts have the hash of another system (bcrypt 2, pbkdf2-sha256 1)')
})
