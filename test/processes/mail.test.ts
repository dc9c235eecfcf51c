import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { transact } from '../../src/db/errors.ts'
import { enqueue } from '../../src/outbox/outbox.ts'
import { ASKED } from '../outbox/mail/mails.ts'
import { rows } from '../outbox/support.ts'
import { createTestApp } from '../support/app.ts'
import { spawnServer } from '../support/server.ts'
import { startSmtpServer } from '../support/smtp.ts'

const MAILS = 40

test('a replica is killed while mails are queued: each is delivered, and a second copy has the Message-ID of the first', async () => {
  await using server = await startSmtpServer({}, 60)
  const env = {
    SMTP_URL: `smtp://localhost:${server.port}`,
    MAIL_FROM: 'no-reply@example.com',
    EMAIL_VERIFICATION: 'off',
  }
  await using t = await createTestApp({ env })
  const addresses = Array.from({ length: MAILS }, (_, n) => `user-${n}@example.com`)
  await transact(t.deps.db, async (tx) => {
    for (const to of addresses) {
      const payload = { to, locale: 'en', template: 'password-changed', asked: ASKED } as const
      await enqueue(tx, t.deps, t.deps.clock(), { kind: 'mail', payload })
    }
  })

  // Its readiness is not waited for: it delivers before.
  const processEnv = { ...t.env, PORT: '0', METRICS_PORT: '0', ISSUER: 'http://localhost:3000' }
  const first = spawnServer(processEnv)
  await expect.poll(() => server.mails.length, { timeout: 20_000, interval: 5 }).toBeGreaterThan(9)
  first.child.kill('SIGKILL')
  await first.exited
  const left = await rows(t)
  const inHand = left.filter(({ taken_at }) => taken_at !== null).map(({ id }) => id)
  expect(inHand.length).toBeGreaterThan(0)
  expect(left.length).toBeGreaterThan(inHand.length)

  const second = spawnServer(processEnv)
  // What the first one held is nobody's until its lease is over.
  await expect.poll(() => rows(t), { timeout: 20_000 }).toHaveLength(inHand.length)
  await sql`UPDATE outbox SET due_at = due_at - interval '2 minutes'`.execute(t.db)
  await expect.poll(() => rows(t), { timeout: 20_000 }).toEqual([])
  second.child.kill('SIGTERM')
  expect(await second.exited).toBe(0)

  const received = server.mails.map(({ to, raw }) => ({
    to: to.join(),
    id: /^Message-ID: <(.*)@localhost>\r$/m.exec(raw)?.[1] ?? '',
  }))
  expect(new Set(received.map(({ to }) => to))).toEqual(new Set(addresses))
  const ids = received.map(({ id }) => id)
  expect(new Set(ids).size).toBe(MAILS)
  const twice = ids.filter((id, n) => ids.indexOf(id) !== n)
  expect(inHand).toEqual(expect.arrayContaining(twice))
  expect(new Set(twice).size).toBe(twice.length)
}, 90_000)
