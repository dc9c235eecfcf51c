import { expect, test } from 'vitest'
import { rotateKeys } from '../../src/keys/operator.ts'
import { type Receipt, takeReceipt } from '../../src/revocations/receipts/receipts.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import { sidOf } from '../support/jwt.ts'
import { byOperator } from '../support/operation.ts'
import { run } from './support.ts'

const EPOCH = 'e'.repeat(22)

/** A server whose feed has got to 40, and services called as given, whose instances report what they are told. */
async function createFleet(...names: string[]) {
  const t = await createTestApp()
  const kids = (await t.db.selectFrom('signing_keys').select('kid').execute()).map(({ kid }) => kid)
  await t.db.updateTable('revocation_feed').set({ epoch: EPOCH, last_seq: '40' }).execute()
  const ids = new Map<string, string>()
  for (const name of names) ids.set(name, (await addServiceClient(t, { name })).clientId)
  const report = async (who: string, facts: Partial<Receipt> & { ago?: number } = {}) => {
    const { ago = 1, ...rest } = facts
    const [service = '', instance = ''] = who.split('/')
    const deps = { db: t.db, clock: () => new Date(t.deps.clock().getTime() - ago * 1000) }
    await takeReceipt(deps, ids.get(service) ?? '', { instance, epoch: EPOCH, seq: 40, kids, ...rest })
  }
  const cli = async (...args: string[]) => await run(args, { env: t.env })
  const json = async <T>(...args: string[]) => JSON.parse((await cli(...args, '--json')).out) as T
  return { t, kids, report, cli, json, [Symbol.asyncDispose]: () => t[Symbol.asyncDispose]() }
}

/** Without how long ago something was: the machine may be slow. */
const timeless = (text: string) => text.replace(/\b(now|\d+ (s|min|h) ago)/g, '<ago>')

interface Listed {
  feed: { epoch: string; seq: number }
  stale: number
  verifiers: { client: string; instance: string; state: string; seq: number; lacks_keys: string[] }[]
}

test('each instance is told of, with what it has applied and which keys it lacks', async () => {
  await using fleet = await createFleet('orders', 'stock')
  expect(await fleet.cli('verifiers')).toMatchObject({ code: 0, out: 'No service has reported within a day.\n' })
  expect(await fleet.cli('verifiers', '--check')).toMatchObject({ code: 1 })
  await fleet.report('orders/web-1')
  await fleet.report('orders/old', { ago: 700 })
  expect(await fleet.cli('verifiers', '--check')).toMatchObject({ code: 0 })

  await fleet.report('orders/web-2', { ago: 60, seq: 38, kids: [] })
  await fleet.report('stock/a', { epoch: 'p'.repeat(22), seq: 900 })
  await fleet.report('stock/b', { seq: 41 })
  const { code, out } = await fleet.cli('verifiers')
  expect(code).toBe(0)
  const lines = timeless(out)
    .split('\n')
    .map((line) => line.split(/ {2,}/))
  expect(lines.slice(0, 6)).toEqual([
    ['SERVICE', 'INSTANCE', 'STATE', 'REPORTED', 'APPLIED', 'KEYS'],
    ['orders', 'old', 'gone', '<ago>', '40 of 40', 'all'],
    ['orders', 'web-1', 'current', '<ago>', '40 of 40', 'all'],
    ['orders', 'web-2', 'silent', '<ago>', '38 of 40', `lacks ${fleet.kids[0]?.slice(0, 8)}… (active)`],
    ['stock', 'a', 'other_epoch', '<ago>', '-', 'all'],
    ['stock', 'b', 'ahead', '<ago>', '41 of 40', 'all'],
  ])
  expect(out).toContain('5 instances of 2 services: 1 current, 1 other_epoch, 1 ahead, 1 silent, 1 gone.\n')
  expect(await fleet.cli('verifiers', '--check')).toMatchObject({ code: 1 })
  expect(await fleet.json<Listed>('verifiers')).toMatchObject({
    feed: { epoch: EPOCH, seq: 40 },
    stale: 3,
    verifiers: [
      { instance: 'old', state: 'gone' },
      { client: 'orders', instance: 'web-1', state: 'current', seq: 40, lacks_keys: [] },
      { instance: 'web-2', state: 'silent', seq: 38, lacks_keys: fleet.kids },
      { instance: 'a', state: 'other_epoch' },
      { instance: 'b', state: 'ahead' },
    ],
  })
})

/** Signs in and out. @returns the session. */
async function signOut(t: TestApp, seq: number | undefined): Promise<string> {
  const { accessToken, refreshToken } = await t.signUp()
  const headers = { 'content-type': 'application/json' }
  await t.inject({ method: 'POST', url: '/logout', headers, payload: JSON.stringify({ refresh_token: refreshToken }) })
  const sid = sidOf(accessToken)
  if (seq !== undefined) {
    const numbered = { seq: String(seq), expires_at: new Date(t.deps.clock().getTime() + 660_000) }
    await t.db.updateTable('revocations').set(numbered).where('sid', '=', sid).execute()
  }
  return sid
}

test('whom a sign-out has reached', async () => {
  await using fleet = await createFleet('orders', 'stock')
  const sid = await signOut(fleet.t, 39)
  const ask = ['verifiers', '--session', sid]
  const why = async () => timeless((await fleet.cli('sessions', 'why', sid)).out).split('\n')
  expect((await fleet.cli(...ask)).out).toContain('\nNo service reports what it has heard of it.\n')
  expect(await why()).toHaveLength(2)

  await fleet.report('orders/web-1', { seq: 39 })
  await fleet.report('orders/gone', { seq: 2, ago: 700 })
  expect((await fleet.cli(...ask)).out).toContain('\nAll services that report have heard of it: 1 instance.\n')
  expect(await fleet.cli(...ask, '--check')).toMatchObject({ code: 0 })

  await fleet.report('orders/web-2', { seq: 38, ago: 30 })
  await fleet.report('stock/restored', { epoch: 'p'.repeat(22), seq: 90 })
  await fleet.report('stock/liar', { seq: 99 })
  const sentence = `Of 4 instances that report, 1 has heard of it; not, or not yet: ${[
    'orders/web-2 (silent, reported <ago>)',
    'stock/liar (ahead, reported <ago>)',
    'stock/restored (other_epoch, reported <ago>)',
  ].join(', ')}.`
  expect((await why())[1]).toBe(sentence)
  expect(timeless((await fleet.cli(...ask)).out).split('\n')[1]).toBe(sentence)
  expect(await fleet.cli(...ask, '--check')).toMatchObject({ code: 1 })
  const told = await fleet.json<{ heard: { instance: string; heard: boolean | null }[] }>(...ask)
  expect(told.heard.map(({ instance, heard }) => [instance, heard])).toEqual([
    ['gone', false],
    ['web-1', true],
    ['web-2', false],
    ['liar', null],
    ['restored', null],
  ])
  expect(await fleet.json('sessions', 'why', sid)).toMatchObject({ revocation: { seq: 39 }, heard: told.heard })
})

test('a sign-out without a number has reached nobody yet, and one whose tokens have expired needs nobody', async () => {
  await using fleet = await createFleet('orders')
  await fleet.report('orders/web-1')
  const sid = await signOut(fleet.t, undefined)
  expect(await fleet.json('verifiers', '--session', sid)).toMatchObject({
    revocation: { seq: null },
    heard: [{ heard: false }],
  })
  await fleet.t.db.deleteFrom('revocations').execute()
  expect(await fleet.cli('verifiers', '--session', sid, '--check')).toMatchObject({
    code: 0,
    out: expect.stringContaining('The revocation feed has no entry for it'),
  })
})

test('a session that is live, or that never was', async () => {
  await using fleet = await createFleet()
  const sid = sidOf((await fleet.t.signUp()).accessToken)
  expect(await fleet.cli('verifiers', '--session', sid)).toMatchObject({
    code: 0,
    out: expect.stringContaining('is live'),
  })
  expect(await fleet.cli('verifiers', '--session', sid, '--check')).toMatchObject({ code: 1 })
  expect(await fleet.cli('verifiers', '--session', crypto.randomUUID())).toMatchObject({ code: 3 })
  expect(await fleet.cli('verifiers', '--session', 'orders')).toMatchObject({ code: 2 })
})

test('whoever is revoked otherwise is heard of by that entry, if it came after the last token', async () => {
  await using fleet = await createFleet('orders')
  const { t } = fleet
  const sid = await signOut(t, undefined)
  const { user_id: sub } = await t.db
    .selectFrom('families')
    .select('user_id')
    .where('id', '=', sid)
    .executeTakeFirstOrThrow()
  await t.db.deleteFrom('revocations').execute()
  const revoke = async (kind: 'subject' | 'all', seq: number, secondsAgo: number) => {
    const at = new Date(t.deps.clock().getTime() - secondsAgo * 1000)
    const named = kind === 'subject' ? { sub } : {}
    const entry = { kind, sid: null, sub: null, kid: null, initiator: 'admin', revoked_at: at } as const
    const numbered = { id: crypto.randomUUID(), seq: String(seq), expires_at: new Date(at.getTime() + 660_000) }
    await t.db
      .insertInto('revocations')
      .values({ ...entry, ...named, ...numbered })
      .execute()
  }
  const entry = async () => (await fleet.json<{ revocation: unknown }>('verifiers', '--session', sid)).revocation
  await revoke('all', 10, 60)
  await revoke('subject', 11, 60)
  expect(await entry()).toBeNull()
  await revoke('all', 30, 0)
  expect(await entry()).toMatchObject({ seq: 30 })
  await revoke('subject', 20, 0)
  expect(await entry()).toMatchObject({ seq: 20 })
})

test('keys list says for whom the next key waits, and until when', async () => {
  await using fleet = await createFleet('orders')
  const { t } = fleet
  const next = await rotateKeys(t.deps, byOperator(t.deps), { compromised: false })
  if (next.outcome !== 'scheduled') throw new Error(next.outcome)
  const row = async () => (await fleet.cli('keys', 'list')).out.split('\n').find((line) => line.startsWith(next.next))
  await fleet.report('orders/web-1', { kids: [...fleet.kids, next.next] })
  expect(await row()).toMatch(/signs from \S+ \(in 24 h\)$/)
  await fleet.report('orders/web-2')
  expect(await row()).toMatch(/signs from \S+ \(in 24 h\); not held yet by orders\/web-2$/)
  await fleet.report('orders/web-3')
  const dayAgo = new Date(t.deps.clock().getTime() - 86_401_000)
  await t.db.updateTable('signing_keys').set({ created_at: dayAgo }).where('kid', '=', next.next).execute()
  expect(await row()).toMatch(/waits for orders\/web-2 and 1 more, until \S+ \(in 24 h\) at the latest$/)
  expect((await fleet.cli('keys', 'list')).out).toMatch(/another one signs from \S+ \(in 24 h\) at the latest/)
  expect((await fleet.cli('keys', 'rotate')).out).toContain('“claviger keys list” says for whom it waits')
  const { keys } = await fleet.json<{ keys: { kid: string; lacked_by: { instance: string }[] }[] }>('keys', 'list')
  const lackedBy = Object.fromEntries(
    keys.map(({ kid, lacked_by }) => [kid, lacked_by.map(({ instance }) => instance)]),
  )
  expect(lackedBy).toEqual({ [next.next]: ['web-2', 'web-3'], [fleet.kids[0] ?? '']: [] })
})
