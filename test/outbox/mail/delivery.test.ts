import PostalMime from 'postal-mime'
import { expect, test } from 'vitest'
import { transact } from '../../../src/db/errors.ts'
import type { Mail } from '../../../src/outbox/mail/mail.ts'
import { enqueue } from '../../../src/outbox/outbox.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { refusal, startSmtpServer } from '../../support/smtp.ts'
import { rows } from '../support.ts'
import { TOKEN } from './mails.ts'

const SMTP = { MAIL_FROM: 'no-reply@example.com', EMAIL_VERIFICATION: 'off', ISSUER: 'https://auth.example.com' }

async function enqueueReset(t: TestApp, secondsToLive = 1800): Promise<void> {
  const now = t.deps.clock()
  const payload: Mail = {
    to: 'anna@example.com',
    locale: 'de',
    template: 'reset-password',
    token: TOKEN,
    code: '12345678',
    expiresAt: new Date(now.getTime() + secondsToLive * 1000).toISOString(),
    asked: { at: now.toISOString(), address: '192.0.2.7', userAgent: 'curl/8.17.0' },
  }
  await transact(t.deps.db, (tx) => enqueue(tx, t.deps, now, { kind: 'mail', payload }))
}

test('a mail that is greylisted comes later, the same but for the server’s own lines', async () => {
  let greylisted = 0
  await using server = await startSmtpServer({
    onRcptTo: (_address, _session, done) => done(greylisted++ < 2 ? refusal('450 4.2.0 Greylisted') : null),
  })
  await using t = await createTestApp({ env: { ...SMTP, SMTP_URL: `smtp://localhost:${server.port}` } })
  await enqueueReset(t)
  for (let attempt = 1; attempt <= 2; attempt++) {
    await t.deliver()
    const [row] = await rows(t)
    expect(row).toMatchObject({ attempts: attempt, last_failure: expect.stringContaining('(450)'), dead_at: null })
    t.travel(60)
  }
  const [{ id } = { id: '' }] = await rows(t)
  await t.deliver()
  expect(await rows(t)).toEqual([])
  expect(server.mails).toHaveLength(1)
  const read = await PostalMime.parse(server.mails[0]?.raw ?? '')
  expect(read.messageId).toBe(`<${id}@auth.example.com>`)
  expect(read.subject).toBe('Setzen Sie Ihr Passwort für Claviger zurück')
  expect(read.text).toMatch(new RegExp(`\n\nhttps://auth\\.example\\.com/account/reset#token=${TOKEN}\n\n`))
  expect(read.text).toContain('\n\n1234 5678\n\n')
  expect(read.text).toContain('gelten 30 Minuten, bis ')
})

test('an address that the server refuses is a dead letter at once, and another mail goes out', async () => {
  const answers = [refusal('550 5.1.1 <anna@example.com> unknown'), null]
  await using server = await startSmtpServer({ onRcptTo: (_address, _session, done) => done(answers.shift()) })
  await using t = await createTestApp({ env: { ...SMTP, SMTP_URL: `smtp://localhost:${server.port}` } })
  await enqueueReset(t)
  await t.deliver()
  const [dead] = await rows(t)
  expect(dead).toMatchObject({
    attempts: 1,
    last_failure: 'the mail server refused the address (550)',
    dead_at: expect.any(Date),
  })
  await enqueueReset(t)
  await t.deliver()
  expect(server.mails).toHaveLength(1)
  expect(JSON.stringify(t.logs)).not.toMatch(/anna@example\.com|12345678|1234 5678|#token/)
})

test('a mail whose link has expired while the server was away is not sent any more', async () => {
  await using server = await startSmtpServer()
  await using t = await createTestApp({ env: { ...SMTP, SMTP_URL: `smtp://localhost:${server.port}` } })
  await enqueueReset(t, 60)
  t.travel(61)
  await t.deliver()
  expect(await rows(t)).toMatchObject([{ last_failure: 'its link has expired', dead_at: expect.any(Date) }])
  expect(server.mails).toEqual([])
})

test('without a server, in development, the log has whom it is for, the link and the code', async () => {
  await using t = await createTestApp()
  await enqueueReset(t)
  await t.deliver()
  expect(await rows(t)).toEqual([])
  expect(t.logs.filter(({ msg }) => msg?.startsWith('a mail'))).toMatchObject([
    {
      level: 'info',
      msg: 'a mail, shown here because SMTP_URL is not set',
      template: 'reset-password',
      to: 'anna@example.com',
      link: `${t.config.ISSUER}/account/reset#token=${TOKEN}`,
      code: '1234 5678',
    },
  ])
})

test('without a server, in production, a mail that is there from before waits for one', async () => {
  await using t = await createTestApp()
  await enqueueReset(t)
  await using later = await createTestApp({
    join: t,
    env: { NODE_ENV: 'production', ISSUER: 'https://auth.example.com' },
  })
  await later.deliver()
  expect(await rows(t)).toMatchObject([{ last_failure: 'SMTP_URL is not set', dead_at: null }])
})
