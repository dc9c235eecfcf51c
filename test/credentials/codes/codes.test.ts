import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  checkCode,
  type IssuedCode,
  issueCode,
  mayMail,
  redeemCode,
  voidCodes,
} from '../../../src/credentials/codes/codes.ts'
import { pruneCodes, pruneMailCounts } from '../../../src/credentials/codes/pruning.ts'
import type { OneTimePurpose } from '../../../src/db/schema.ts'
import { deleteUser } from '../../../src/users/removal.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { byOperator } from '../../support/operation.ts'

const email = 'owner@example.com'

const issue = (t: TestApp, userId: string | null, purpose: OneTimePurpose, to = email): Promise<IssuedCode> =>
  t.deps.db
    .transaction()
    .execute((tx) => issueCode(tx, t.deps.serverKeys, t.deps.clock(), { purpose, userId, email: to }))
const check = (t: TestApp, purpose: OneTimePurpose, presented: Parameters<typeof checkCode>[3]) =>
  checkCode(t.deps, t.deps.clock(), purpose, presented)
const redeem = (t: TestApp, id: string): Promise<boolean> =>
  t.deps.db.transaction().execute((tx) => redeemCode(tx, { id }))
const wrongOf = (code: string): string => String((Number(code) + 1) % 100_000_000).padStart(8, '0')

async function withUser() {
  const t = await createTestApp()
  const { userId } = await t.signUp(email)
  return Object.assign(t, { userId })
}

describe('a link and a code', () => {
  test('each proves the same, and both are gone with the first use', async () => {
    await using t = await withUser()
    const { token, code, id } = await issue(t, t.userId, 'reset_password')
    expect(token).toMatch(/^[\w-]{43}$/)
    expect(code).toMatch(/^\d{8}$/)
    for (const presented of [{ token }, { email, code }]) {
      const checked = await check(t, 'reset_password', presented)
      expect(checked).toMatchObject({ kind: 'valid', facts: { id, userId: t.userId, email, details: {} } })
    }
    expect(await redeem(t, id)).toBe(true)
    expect(await redeem(t, id)).toBe(false)
    expect(await check(t, 'reset_password', { token })).toEqual({ kind: 'refused', reason: 'unknown_link' })
    expect(await check(t, 'reset_password', { email, code })).toEqual({ kind: 'refused', reason: 'no_code' })
  })

  test('are used up once, however many come at the same time to however many replicas', async () => {
    await using t = await withUser()
    await using other = await createTestApp({ join: t })
    const { id } = await issue(t, t.userId, 'verify_email')
    const used = await Promise.all(Array.from({ length: 10 }, (_each, n) => redeem(n % 2 ? t : other, id)))
    expect(used.filter(Boolean)).toHaveLength(1)
  })

  test('are good for one purpose, and until they expire', async () => {
    await using t = await withUser()
    const { token, code } = await issue(t, t.userId, 'reset_password')
    expect((await check(t, 'verify_email', { token })).kind).toBe('refused')
    expect((await check(t, 'verify_email', { email, code })).kind).toBe('refused')
    t.travel(30 * 60 - 1)
    expect((await check(t, 'reset_password', { email, code })).kind).toBe('valid')
    t.travel(2)
    expect(await check(t, 'reset_password', { token })).toEqual({ kind: 'refused', reason: 'expired' })
    expect(await check(t, 'reset_password', { email, code })).toEqual({ kind: 'refused', reason: 'no_code' })
  })

  test('are void once newer ones are sent for the same, and only for the same', async () => {
    await using t = await withUser()
    const first = await issue(t, t.userId, 'reset_password')
    const other = await issue(t, t.userId, 'verify_email')
    const second = await issue(t, t.userId, 'reset_password')
    expect((await check(t, 'reset_password', { token: first.token })).kind).toBe('refused')
    expect((await check(t, 'reset_password', { token: second.token })).kind).toBe('valid')
    expect((await check(t, 'verify_email', { token: other.token })).kind).toBe('valid')
    await t.deps.db.transaction().execute((tx) => voidCodes(tx, t.userId, ['reset_password']))
    expect((await check(t, 'reset_password', { token: second.token })).kind).toBe('refused')
    expect((await check(t, 'verify_email', { token: other.token })).kind).toBe('valid')
  })

  test('invitations have an address and no user; of one address the newest counts, also of two at once', async () => {
    await using t = await withUser()
    const to = 'guest@example.com'
    const both = await Promise.all([issue(t, null, 'invitation', to), issue(t, null, 'invitation', to)])
    const last = await issue(t, null, 'invitation', to)
    for (const { token } of both) expect((await check(t, 'invitation', { token })).kind).toBe('refused')
    expect(await check(t, 'invitation', { token: last.token })).toMatchObject({ facts: { userId: null, email: to } })
  })

  test('each address that was left keeps its own way back, by link alone', async () => {
    await using t = await withUser()
    const ways = [await issue(t, t.userId, 'undo_email_change', 'a@example.com')]
    ways.push(await issue(t, t.userId, 'undo_email_change', 'b@example.com'))
    for (const { token, code } of ways) {
      expect((await check(t, 'undo_email_change', { token })).kind).toBe('valid')
      expect((await check(t, 'undo_email_change', { email: 'a@example.com', code })).kind).toBe('refused')
    }
  })

  test('go with their account', async () => {
    await using t = await withUser()
    await issue(t, t.userId, 'reset_password')
    await deleteUser(t.deps, byOperator(t.deps), t.userId)
    expect(await t.db.selectFrom('one_time_codes').select('id').execute()).toEqual([])
  })
})

describe('wrong codes', () => {
  test('five end the code and not the link, nor that of another purpose', async () => {
    await using t = await withUser()
    const { token, code } = await issue(t, t.userId, 'reset_password')
    const other = await issue(t, t.userId, 'verify_email')
    for (let n = 0; n < 4; n++)
      expect(await check(t, 'reset_password', { email, code: wrongOf(code) })).toMatchObject({ reason: 'wrong_code' })
    expect((await check(t, 'reset_password', { email, code })).kind).toBe('valid')
    expect(await check(t, 'reset_password', { userId: t.userId, code: wrongOf(code) })).toMatchObject({
      reason: 'wrong_code',
    })
    expect(await check(t, 'reset_password', { email, code })).toEqual({ kind: 'refused', reason: 'no_code' })
    expect((await check(t, 'reset_password', { token })).kind).toBe('valid')
    expect((await check(t, 'verify_email', { email, code: other.code })).kind).toBe('valid')
  })

  test('of fifty at once five are compared', async () => {
    await using t = await withUser()
    await using other = await createTestApp({ join: t })
    const { code } = await issue(t, t.userId, 'verify_email')
    const guesses = Array.from({ length: 50 }, (_each, n) =>
      check(n % 2 ? t : other, 'verify_email', { email, code: wrongOf(code) }),
    )
    const reasons = (await Promise.all(guesses)).map((each) => (each.kind === 'refused' ? each.reason : 'valid'))
    expect(reasons.filter((reason) => reason === 'wrong_code')).toHaveLength(5)
    expect(reasons.filter((reason) => reason === 'no_code')).toHaveLength(45)
  })

  test('of an address without a code nothing is told and nothing kept', async () => {
    await using t = await withUser()
    const checked = await check(t, 'reset_password', { email: 'nobody@example.com', code: '12345678' })
    expect(checked).toEqual({ kind: 'refused', reason: 'no_code' })
    expect(await t.db.selectFrom('one_time_codes').select('id').execute()).toEqual([])
  })
})

test('at rest there is neither the token nor the code, nor a hash of the code that could be tried out', async () => {
  await using t = await withUser()
  const { token, code } = await issue(t, t.userId, 'reset_password')
  expect(Buffer.from(token, 'base64url')).toHaveLength(32)
  const rows = await t.db.selectFrom('one_time_codes').selectAll().execute()
  expect(rows.map(({ token_hash }) => token_hash)).toEqual([createHash('sha256').update(token).digest()])
  const text = JSON.stringify(rows)
  expect(text).not.toContain(token)
  expect(text).not.toContain(code)
  const [newest] = t.deps.serverKeys
  const withoutKey = { db: t.deps.db, serverKeys: [{ ...newest, codes: Buffer.alloc(32) }] as const }
  expect((await checkCode(withoutKey, t.deps.clock(), 'reset_password', { email, code })).kind).toBe('refused')
})

describe('mails to one address', () => {
  const ask = (t: TestApp, to = email): Promise<boolean> =>
    t.deps.db.transaction().execute((tx) => mayMail(tx, t.deps.serverKeys, t.deps.clock(), to))

  test('are three an hour and ten a day, wherever the hour and the day begin', async () => {
    await using t = await createTestApp()
    const sent: boolean[] = []
    for (let n = 0; n < 4; n++) sent.push(await ask(t))
    expect(sent).toEqual([true, true, true, false])
    expect(await ask(t, 'other@example.com')).toBe(true)
    for (let hour = 0; hour < 23; hour++) {
      t.travel(3601)
      for (let n = 0; n < 2; n++) sent.push(await ask(t))
    }
    expect(sent.filter(Boolean)).toHaveLength(10)
    t.travel(3601)
    expect([await ask(t), await ask(t), await ask(t), await ask(t)]).toEqual([true, true, true, false])
  })

  test.each([
    ['victim@example.com', (n: number) => `victim+${n}.${n}+c@example.com`],
    ['victim@gmail.com', (n: number) => `v${n % 2 ? '.' : ''}ictim+${n}@${n % 3 ? 'gmail' : 'googlemail'}.com`],
  ])('are thirty an hour to all addresses that are made up of %s, and its owner has three', async (owner, address) => {
    await using t = await createTestApp()
    const sent: boolean[] = []
    for (let n = 0; n < 32; n++) sent.push(await ask(t, address(n)))
    expect(sent).toEqual([...Array(30).fill(true), false, false])
    expect(await ask(t, owner)).toBe(true)
  })

  test('to addresses of several mailboxes do not count together', async () => {
    await using t = await createTestApp()
    const sent: boolean[] = []
    for (const to of [
      'v.ictim@example.com',
      'vi.ctim@example.com',
      'victim@example.com',
      '+1@example.com',
      '+2@example.com',
    ])
      sent.push(await ask(t, to))
    expect(sent).toEqual([true, true, true, true, true])
  })

  test('many at once are no more', async () => {
    await using t = await createTestApp()
    const sent = await Promise.all(Array.from({ length: 12 }, () => ask(t)))
    expect(sent.filter(Boolean)).toHaveLength(3)
  })

  test('what no longer counts is deleted', async () => {
    await using t = await withUser()
    await ask(t)
    await issue(t, t.userId, 'verify_email')
    t.travel(24 * 3600 + 1)
    const prune = async () => [
      await pruneCodes.remove(t.deps.db, t.deps.clock(), 10),
      await pruneMailCounts.remove(t.deps.db, t.deps.clock(), 10),
    ]
    expect(await prune()).toEqual([0, 1])
    t.travel(24 * 3600)
    expect(await prune()).toEqual([1, 0])
  })
})
