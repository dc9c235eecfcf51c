import { expect, test } from 'vitest'
import { NotDelivered, Undeliverable } from '../../src/outbox/failure.ts'
import { enqueueNote, receiver, rows } from '../outbox/support.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { run } from './support.ts'

const NOBODY = '019a5c9e-2f6b-7c3d-8e21-5a4f0b9d7c11'
const SECRET = 'https://auth.example.com/account/reset#token=abc for bob@example.com'

const cli = (t: TestApp, ...args: string[]) => run(['outbox', ...args], { env: t.env })

/** One that was given up, one that is tried again later, and one that nobody has tried. */
async function fill(t: TestApp) {
  await enqueueNote(t, SECRET)
  await t.deliver({ note: () => Promise.reject(new Undeliverable('5.1.1')) })
  await enqueueNote(t, SECRET)
  await t.deliver({ note: () => Promise.reject(new NotDelivered('4.2.1')) })
  await enqueueNote(t, SECRET, 'errand')
  const [dead, waiting, due] = await rows(t)
  return { dead: dead?.id ?? '', waiting: waiting?.id ?? '', due: due?.id ?? '' }
}

test('shows what waits and why, and nothing of what it carries', async () => {
  await using t = await createTestApp()
  expect((await cli(t, 'list')).out).toBe('Nothing waits to be delivered.\n')
  expect((await cli(t, 'list', '--dead')).out).toBe('Nothing was given up.\n')
  const { dead, waiting, due } = await fill(t)

  const { out } = await cli(t, 'list')
  const lines = out.trim().split('\n')
  expect(lines[0]).toMatch(/^ID +KIND +ENQUEUED +ATTEMPTS +STATE +LAST FAILURE$/)
  expect(lines[1]).toMatch(RegExp(`^${waiting} +note +.+ +1 +tried again in \\d+ s +4\\.2\\.1$`))
  expect(lines[2]).toMatch(RegExp(`^${due} +errand +.+ +0 +due +-$`))
  expect(lines[3]).toMatch(RegExp(`^${dead} +note +.+ +1 +given up .+ +5\\.1\\.1$`))
  expect(lines).toHaveLength(4)

  const { out: json } = await cli(t, 'list', '--dead', '--json')
  expect(JSON.parse(json)).toEqual({
    deliveries: [
      {
        id: dead,
        kind: 'note',
        enqueued_at: expect.any(String),
        attempts: 1,
        taken_at: null,
        due_at: expect.any(String),
        last_failure: '5.1.1',
        dead_at: expect.any(String),
      },
    ],
    more: false,
  })
  expect(out + json).not.toMatch(/bob|token|auth\.example/)
  expect(JSON.parse((await cli(t, 'list', '--limit', '2', '--json')).out)).toMatchObject({
    deliveries: [{ id: waiting }, { id: due }],
    more: true,
  })
})

test('a dead letter is sent again with the same id, and the trail says who had it sent', async () => {
  await using t = await createTestApp()
  const { dead } = await fill(t)
  expect(await cli(t, 'retry', dead, '--as', 'ada')).toEqual({ code: 0, out: 'It is tried again.\n', err: '' })
  const { received, handlers } = receiver()
  await t.deliver(handlers)
  expect(received).toContainEqual({ id: dead, text: SECRET, number: 1, enqueuedAt: expect.any(Date) })
  const trail = t.db.selectFrom('audit').where('type', '=', 'delivery.retried').select(['actor', 'details'])
  expect(await trail.execute()).toEqual([{ actor: 'operator:ada', details: { deliveries: 1, delivery: dead } }])
})

test('everything that waits is tried again at once, when a mail server is back', async () => {
  await using t = await createTestApp()
  await fill(t)
  expect((await cli(t, 'retry', '--all')).out).toBe('3 deliveries are tried again.\n')
  const { texts, handlers } = receiver()
  await t.deliver(handlers)
  expect(texts()).toEqual([SECRET, SECRET, SECRET])
  expect((await cli(t, 'retry', '--all')).out).toBe('Nothing to try again.\n')
})

test('what is being handed over is left alone', async () => {
  await using t = await createTestApp()
  await enqueueNote(t, 'slow')
  const gate = Promise.withResolvers<void>()
  const { received, handlers } = receiver(() => gate.promise)
  const delivering = t.deliver(handlers)
  await expect.poll(() => received).toHaveLength(1)
  expect((await cli(t, 'list')).out).toContain('being handed over')
  const told = await cli(t, 'retry', received[0]?.id ?? '')
  expect(told).toEqual({ code: 0, out: 'Nothing to do: it is being handed over at this moment.\n', err: '' })
  expect((await cli(t, 'retry', '--all')).out).toBe('Nothing to try again.\n')
  gate.resolve()
  await delivering
  expect(received).toHaveLength(1)
})

test.each([
  [['retry'], 2, 'name a delivery, or --all'],
  [['retry', NOBODY, '--all'], 2, 'name a delivery, or --all'],
  [['retry', 'bob'], 2, 'that is no delivery'],
  [['retry', NOBODY], 3, 'There is no such delivery'],
  [['list', '--limit', '0'], 2, '--limit takes'],
])('outbox %j has the exit code %i', async (args, code, said) => {
  await using t = await createTestApp()
  const told = await cli(t, ...args)
  expect(told.code).toBe(code)
  expect(told.out + told.err).toContain(said)
})
