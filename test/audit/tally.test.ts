import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import type { TalliedEvent } from '../../src/audit/events.ts'
import { createTally } from '../../src/audit/tally.ts'
import { NO_REQUEST } from '../../src/facts.ts'
import type { Operation } from '../../src/operation.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { atOnce } from '../support/at-once.ts'

const MINUTE = 60_000
const NOW = new Date(Math.floor(Date.now() / MINUTE) * MINUTE)
const asked: Operation = { now: NOW, actor: 'anonymous', facts: NO_REQUEST }

const refused = (familyId: string): TalliedEvent => ({
  type: 'refresh.refused',
  outcome: 'failure',
  reason: 'wrong_client',
  familyId,
})

async function trail(t: TestApp) {
  const rows = await t.db.selectFrom('audit').selectAll().where('outcome', '=', 'failure').orderBy('seq').execute()
  return rows.map(({ family_id, reason, address, details }) => ({ family_id, reason, address, count: details.count }))
}

test('events that say the same in one minute are one row, whose count is in at the next flush', async () => {
  await using t = await createTestApp()
  const tally = createTally(t)
  const [one, other] = [randomUUID(), randomUUID()]
  await atOnce(50, () => tally.add(asked, refused(one)))
  await tally.add(asked, refused(other))
  await tally.add(asked, { ...refused(one), reason: 'wrong_delivery' } as TalliedEvent)
  const later = new Date(NOW.getTime() + MINUTE)
  await tally.add({ ...asked, now: later }, refused(one))
  const rows = [
    { family_id: one, reason: 'wrong_client', count: 1 },
    { family_id: other, reason: 'wrong_client', count: 1 },
    { family_id: one, reason: 'wrong_delivery', count: 1 },
    { family_id: one, reason: 'wrong_client', count: 1 },
  ]
  expect(await trail(t)).toMatchObject(rows)

  await tally.flush(later)
  Object.assign(rows[0] ?? {}, { count: 50 })
  expect(await trail(t)).toMatchObject(rows)
  await tally.flush(later)
  expect(await trail(t)).toMatchObject(rows)
})

test('the address tells rows apart where no session is named, and only there', async () => {
  await using t = await createTestApp()
  const tally = createTally(t)
  const familyId = randomUUID()
  const login: TalliedEvent = {
    type: 'login',
    outcome: 'failure',
    reason: 'unknown_user',
    details: { identifier: 'aa' },
  }
  for (const address of ['192.0.2.1', '192.0.2.2']) {
    for (const event of [login, { ...login, details: { identifier: 'bb' } }, refused(familyId)]) {
      await tally.add({ ...asked, facts: { ...NO_REQUEST, address } }, event)
    }
  }
  await tally.flush(NOW)
  expect((await trail(t)).map(({ reason, address, count }) => `${reason} ${address} ${Number(count)}`)).toEqual([
    'unknown_user 192.0.2.1 1',
    'unknown_user 192.0.2.1 1',
    'wrong_client 192.0.2.1 2',
    'unknown_user 192.0.2.2 1',
    'unknown_user 192.0.2.2 1',
  ])
})

test('replicas count in the same row', async () => {
  await using t = await createTestApp()
  const tallies = [createTally(t), createTally(t), createTally(t)]
  const familyId = randomUUID()
  const add = (times: number) =>
    Promise.all(tallies.flatMap((tally) => Array.from({ length: times }, () => tally.add(asked, refused(familyId)))))
  await add(1)
  await add(10)
  await Promise.all(tallies.map((tally) => tally.flush(NOW)))
  expect(await trail(t)).toMatchObject([{ count: 33 }])
})

test('a flood is one statement for its first event, and one for each flush', async () => {
  await using t = await createTestApp()
  let statements = 0
  const counting = t.db.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      statements++
      return result
    },
  })
  const tally = createTally({ db: counting })
  const [one, other] = [randomUUID(), randomUUID()]
  const events = Array.from({ length: 1000 }, (_, index) => refused(index % 2 ? one : other))
  await Promise.all(events.map((event) => tally.add(asked, event)))
  expect(statements).toBe(2)
  await tally.flush(NOW)
  await tally.flush(NOW)
  expect(statements).toBe(3)
  expect(await trail(t)).toMatchObject([{ count: 500 }, { count: 500 }])
})

test('an event that could not be written is an error for all who wait for it, and the next one is tried', async () => {
  await using t = await createTestApp()
  const tally = createTally(t)
  const familyId = randomUUID()
  const add = () => tally.add(asked, refused(familyId))
  await sql`ALTER TABLE audit RENAME TO away`.execute(t.db)
  const outcomes = await Promise.allSettled([add(), add(), add()])
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  await sql`ALTER TABLE away RENAME TO audit`.execute(t.db)
  await add()
  await tally.flush(NOW)
  expect(await trail(t)).toMatchObject([{ count: 1 }])
})

test('counts that could not be written are written by the next flush', async () => {
  await using t = await createTestApp()
  const tally = createTally(t)
  const familyId = randomUUID()
  for (let i = 0; i < 5; i++) await tally.add(asked, refused(familyId))
  await sql`ALTER FUNCTION audit_count_again RENAME TO away`.execute(t.db)
  const afterwards = new Date(NOW.getTime() + MINUTE)
  await expect(tally.flush(afterwards)).rejects.toThrow('audit_count_again')
  await sql`ALTER FUNCTION away RENAME TO audit_count_again`.execute(t.db)
  await tally.flush(afterwards)
  expect(await trail(t)).toMatchObject([{ count: 5 }])
})

test.each([
  ['the count of a refusal', { details: { count: 1 } }, 4, { count: 5 }],
  ['not by less than one', { details: { count: 1 } }, -1, { count: 1 }],
  ['not of an event that has none', { details: { kid: 'a' } }, 4, { kid: 'a' }],
  ['not of one that only looks so', { details: { count: '1' } }, 4, { count: '1' }],
  ['not of one that is an hour old', { details: { count: 1 }, age: '61 minutes' }, 4, { count: 1 }],
])(
  'audit_count_again raises %s',
  async (_what, { details, age = '0 s' }: { details: object; age?: string }, times, after) => {
    await using t = await createTestApp()
    const id = randomUUID()
    await sql`
    INSERT INTO audit (id, at, type, outcome, actor, details)
    VALUES (${id}, clock_timestamp() - ${age}::interval, 'refresh.refused', 'failure', 'anonymous', ${JSON.stringify(details)})`.execute(
      t.db,
    )
    await sql`SELECT audit_count_again(${id}, ${times})`.execute(t.db)
    const row = await t.db.selectFrom('audit').select('details').where('id', '=', id).executeTakeFirstOrThrow()
    expect(row.details).toEqual(after)
  },
)

test('retention deletes what is older than it was told, and nothing of the last 30 days whatever it was told', async () => {
  await using t = await createTestApp()
  const ages = [400, 366, 364, 31, 29, 1]
  const left = async () => {
    const { rows } = await sql<{ age: number }>`
      SELECT (extract(epoch FROM clock_timestamp() - at) / 86400)::int AS age FROM audit WHERE type = 'login' ORDER BY at`.execute(
      t.db,
    )
    return rows.map(({ age }) => age)
  }
  await sql`
    INSERT INTO audit (id, at, type, outcome, actor)
    SELECT gen_random_uuid(), clock_timestamp() - age * interval '1 day', 'login', 'success', 'user'
    FROM unnest(${ages}::int[]) AS age`.execute(t.db)
  const remove = async (before: string, batch = 1000) => {
    const { rows } = await sql<{ deleted: number }>`
      SELECT audit_delete_old(clock_timestamp() + ${before}::interval, ${batch}) AS deleted`.execute(t.db)
    return rows[0]?.deleted
  }
  expect(await remove('-365 days', 1)).toBe(1)
  expect(await left()).toEqual([366, 364, 31, 29, 1])
  expect(await remove('-365 days')).toBe(1)
  expect(await remove('-365 days')).toBe(0)
  expect(await left()).toEqual([364, 31, 29, 1])
  expect(await remove('10 years')).toBe(2)
  expect(await left()).toEqual([29, 1])
})
