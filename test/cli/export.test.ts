import { spawn } from 'node:child_process'
import { pbkdf2Sync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { sql } from 'kysely'
import { describe, expect, onTestFinished, test } from 'vitest'
import { main } from '../../src/cli/main.ts'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { auditOf } from '../users/support.ts'
import { run } from './support.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const HASHES = '--with-password-hashes'
const salt = Buffer.from('salt of sixteen!')
const base64 = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '')
/** As another system made it. */
const FOREIGN = `$pbkdf2-sha256$i=1000$${base64(salt)}$${base64(pbkdf2Sync(TEST_PASSWORD, salt, 1000, 32, 'sha256'))}`

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'claviger-export-'))
  onTestFinished(() => rm(path, { recursive: true }))
  return path
}

const linesOf = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
const exportOf = async (t: TestApp, ...options: string[]) => {
  const { code, out, err } = await run(['users', 'export', '-', ...options], { env: t.env })
  expect([code, err]).toEqual([0, expect.stringMatching(/^Exported \d+ accounts?, with/)])
  return out
}

/** Somebody with all that an account can have, somebody of another system, and somebody who is disabled. */
async function threeAccounts(t: TestApp): Promise<void> {
  await t.register('ada@example.com', TEST_PASSWORD)
  await run(['users', 'roles', 'ada@example.com', '--set', 'editor,admin'], { env: t.env })
  await run(['users', 'claims', 'ada@example.com', '--set', '{"team":"blue"}'], { env: t.env })
  const eve = {
    email: 'eve@example.com',
    password_hash: FOREIGN,
    email_verified: true,
    created_at: '2020-02-03T04:05:06Z',
  }
  await run(['users', 'import', '-'], { env: t.env, stdin: JSON.stringify(eve) })
  await t.register('bob@example.com', TEST_PASSWORD)
  await run(['users', 'disable', 'bob@example.com'], { env: t.env })
}

/** Runs with a standard output that does something with each piece before it takes the next. */
async function exportInto(t: TestApp, take: (text: string) => Promise<void>): Promise<{ code: number; err: string }> {
  let err = ''
  const stdout = new Writable({
    write: (chunk, _encoding, done) => void take(String(chunk)).then(() => done(), done),
  })
  stdout.on('error', () => {})
  const stderr = new Writable({
    write: (chunk, _encoding, done) => {
      err += String(chunk)
      done()
    },
  })
  const code = await main(['users', 'export', '-'], t.env, { stdin: new PassThrough(), stdout, stderr })
  return { code, err }
}

test('what is exported with hashes is imported elsewhere: people sign in as before, and the export is the same again', async () => {
  await using t = await createTestApp()
  await using elsewhere = await createTestApp()
  await threeAccounts(t)
  const file = join(await folder(), 'users.jsonl')
  const told = await run(['users', 'export', file, HASHES, '--json'], { env: t.env })
  expect([told.code, JSON.parse(told.out)]).toEqual([0, { exported: 3, withheld: 0, file }])
  expect((await stat(file)).mode & 0o777).toBe(0o600)

  const imported = await run(['users', 'import', file], { env: elsewhere.env })
  expect(imported).toMatchObject({ code: 0, out: 'Imported 3 accounts.\n' })
  expect(await exportOf(elsewhere, HASHES)).toBe(await readFile(file, 'utf8'))
  const ada = await elsewhere.login({ email: 'ada@example.com', password: TEST_PASSWORD })
  expect(ada.json().user).toMatchObject({ roles: ['editor', 'admin'] })
  expect((await elsewhere.login({ email: 'eve@example.com', password: TEST_PASSWORD })).statusCode).toBe(200)
  expect((await elsewhere.login({ email: 'bob@example.com', password: TEST_PASSWORD })).statusCode).toBe(401)
})

test('without being asked for, no hash is written; the oldest account comes first', async () => {
  await using t = await createTestApp()
  await threeAccounts(t)
  const text = await exportOf(t)
  expect(text).not.toContain('$')
  expect(linesOf(text)).toMatchObject([
    { email: 'eve@example.com', email_verified: true, created_at: '2020-02-03T04:05:06.000Z' },
    { email: 'ada@example.com', roles: ['editor', 'admin'], claims: { team: 'blue' }, disabled: false },
    { email: 'bob@example.com', email_verified: false, disabled: true },
  ])
})

test('each export is in the trail, with or without hashes, also one that is broken off', async () => {
  await using t = await createTestApp()
  await t.register('ada@example.com', TEST_PASSWORD)
  await exportOf(t, HASHES)
  const { code } = await exportInto(t, () => Promise.reject(new Error('the disk is full')))
  expect(code).toBe(1)
  expect(await auditOf(t, 'user.exported')).toMatchObject([
    { actor: expect.stringMatching(/^operator:/), details: { password_hashes: 'yes' } },
    { details: { password_hashes: 'no' } },
  ])
})

describe('a password that lets nobody in', () => {
  test.each([
    ['after a hundred failures', sql`UPDATE users SET password_disabled_at = now()`],
    ['before the address is verified', sql`UPDATE users SET must_verify = true`],
  ])('%s is not given to another system, where it would', async (_when, statement) => {
    await using t = await createTestApp()
    await t.register('ada@example.com', TEST_PASSWORD)
    await statement.execute(t.db)
    const { out, err } = await run(['users', 'export', '-', HASHES], { env: t.env })
    expect(linesOf(out)).toMatchObject([{ email: 'ada@example.com', password_hash: null }])
    expect(err).toBe('Exported 1 account, with password hashes. 1 password left out.\n')
  })
})

test('on a terminal hashes are refused before anything is read, and other text cannot deceive', async () => {
  await using t = await createTestApp()
  await t.register('ada@example.com', TEST_PASSWORD)
  await sql`UPDATE users SET claims = '{"a":"\u202e"}'`.execute(t.db)
  const refused = await run(['users', 'export', '-', HASHES], { env: t.env, columns: 80 })
  expect(refused).toEqual({ code: 2, out: '', err: expect.stringContaining('not shown on a terminal') })
  expect(await auditOf(t, 'user.exported')).toEqual([])
  const shown = await run(['users', 'export', '-'], { env: t.env, columns: 80 })
  expect(linesOf(shown.out)).toMatchObject([{ claims: { a: '\ufffd' } }])
})

test('accounts that are deleted while it runs cut nothing off', async () => {
  await using t = await createTestApp()
  await sql`INSERT INTO users (id, email, created_at)
    SELECT gen_random_uuid(), n || '@example.com', now() - interval '1 day' + n * interval '1 second'
    FROM generate_series(1, 1201) AS n`.execute(t.db)
  let text = ''
  const { code, err } = await exportInto(t, async (lines) => {
    text += lines
    await sql`DELETE FROM users`.execute(t.db)
  })
  expect([code, err]).toEqual([0, 'Exported 1201 accounts, without password hashes.\n'])
  expect(linesOf(text).map(({ email }) => email)).toEqual(
    Array.from({ length: 1201 }, (_, n) => `${n + 1}@example.com`),
  )
})

describe('a file', () => {
  test('that is there is kept', async () => {
    await using t = await createTestApp()
    const file = join(await folder(), 'users.jsonl')
    await writeFile(file, 'of last week')
    const refused = await run(['users', 'export', file], { env: t.env })
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('is there already') })
    expect(await readFile(file, 'utf8')).toBe('of last week')
  })

  test('is not there if not all of it could be written, nor is a part of it', async () => {
    await using t = await createTestApp()
    await t.register('ada@example.com', TEST_PASSWORD)
    const path = await folder()
    await sql`DROP TABLE login_failures`.execute(t.db)
    expect(await run(['users', 'export', join(path, 'users.jsonl'), HASHES], { env: t.env })).toMatchObject({ code: 1 })
    expect(await readdir(path)).toEqual([])
  })

  test('that another command is writing is left to it; a folder that is not there is named', async () => {
    await using t = await createTestApp()
    const path = await folder()
    await writeFile(join(path, 'users.jsonl.part'), 'half')
    const refused = await run(['users', 'export', join(path, 'users.jsonl')], { env: t.env })
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('another command writes it, or was killed') })
    expect(await readdir(path)).toEqual(['users.jsonl.part'])
    const lost = await run(['users', 'export', join(path, 'nowhere', 'users.jsonl')], { env: t.env })
    expect(lost).toMatchObject({ code: 1, err: expect.stringContaining('cannot be written (ENOENT)') })
  })
})

test('a reader that stops in the middle is told from one that read it all', async () => {
  await using t = await createTestApp()
  await sql`INSERT INTO users (id, email, created_at) SELECT gen_random_uuid(), n || '@example.com', now()
    FROM generate_series(1, 5000) AS n`.execute(t.db)
  const env = { PATH: process.env.PATH ?? '', ...t.env }
  const child = spawn(process.execPath, [MAIN, 'users', 'export', '-'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  await once(child.stdout, 'data')
  child.stdout.destroy()
  expect(await once(child, 'exit')).toEqual([1, null])
})
