import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { freePort } from '../support/server.ts'
import { refusal, startSilentServer, startSmtpServer } from '../support/smtp.ts'
import { createTestCli } from './support.ts'

interface Report {
  checks: { check: string; status: string; message: string; remedy: string | null }[]
}

/** What the doctor says of mail. */
async function findings(env: Record<string, string>) {
  await using cli = await createTestCli({ PORT: `${await freePort()}`, MAIL_FROM: 'no-reply@example.com', ...env })
  const { out } = await cli.run(['doctor', '--json'])
  expect(out).not.toMatch(/hunter2/)
  return (JSON.parse(out) as Report).checks.filter(({ check }) => check === 'mail')
}

test('a mail server that answers is well, and gets nothing', async () => {
  await using server = await startSmtpServer()
  expect(await findings({ SMTP_URL: `smtp://localhost:${server.port}` })).toEqual([
    { check: 'mail', status: 'ok', message: `smtp://localhost:${server.port} answers, in plain text`, remedy: null },
  ])
  expect(server.mails).toEqual([])
})

test('none is well in development', async () => {
  expect(await findings({})).toMatchObject([
    { status: 'ok', message: 'SMTP_URL is not set: mails are shown in the log' },
  ])
})

test('a login that is refused fails, with what to look at', async () => {
  await using server = await startSmtpServer({
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    onAuth: (_auth, _session, done) => done(refusal('535 5.7.8 Bad credentials')),
  })
  expect(await findings({ SMTP_URL: `smtp://user:hunter2@localhost:${server.port}` })).toEqual([
    {
      check: 'mail',
      status: 'failed',
      message: `smtp://localhost:${server.port}: the mail server did not accept the login (535)`,
      remedy: 'check user and password in SMTP_URL, and that they are percent-encoded',
    },
  ])
})

test.each([
  [
    'nobody at the port',
    undefined,
    'no connection to the mail server (ECONNREFUSED)',
    'this machine may connect there',
  ],
  [
    'a server without STARTTLS',
    ['220 mail', '250 mail', '502 no'],
    'no TLS with the mail server (502)',
    'smtps:// is for TLS from the start',
  ],
])('%s fails', async (_name, answers, message, remedy) => {
  await using server = await startSilentServer(answers ?? [])
  const port = answers === undefined ? await freePort() : server.port
  const [finding, ...more] = await findings({ SMTP_URL: `smtp://0.0.0.0:${port}` })
  expect(more).toEqual([])
  expect(finding).toMatchObject({ status: 'failed', message: `smtp://0.0.0.0:${port}: ${message}` })
  expect(finding?.remedy).toContain(remedy)
})

test('texts with a fault fail by the name of their file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mail-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'de'))
  writeFileSync(join(folder, 'de/invitation.txt'), 'Subject: Willkommen\n\n{{link}}\n')
  expect(await findings({ MAIL_TEMPLATES: folder })).toMatchObject([
    { status: 'failed', message: 'de/invitation.txt: {{code}} is missing' },
    { status: 'ok' },
  ])
})
