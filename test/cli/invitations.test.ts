import { expect, test } from 'vitest'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { openMailboxes } from '../support/mailboxes.ts'
import { post } from '../users/address.ts'
import { run } from './support.ts'

const GUEST = 'guest@example.com'
const cli = (t: TestApp, ...args: string[]) => run(args, { env: t.env })
const listed = async (t: TestApp) =>
  (JSON.parse((await cli(t, 'users', 'invitations', '--json')).out) as { invitations: Record<string, unknown>[] })
    .invitations

test('an invitation is mailed, listed, replaced and taken back', async () => {
  await using t = await createTestApp()
  const mailboxes = openMailboxes(t)
  const sent = await cli(t, 'users', 'invite', 'Guest@Example.com', '--role', 'editor', '--language', 'de')
  expect(sent.out).toMatch(
    /^Invited guest@example\.com: a mail is on its way\. Its link is good until \S+Z \(.*\)\.\n$/,
  )
  const { token, locale } = await mailboxes.one(GUEST, 'invitation')
  expect(locale).toBe('de')
  // Only the mailbox has it, so that using it proves the address.
  expect(sent.out).not.toContain(token)
  const times = { created_at: expect.any(String), expires_at: expect.any(String) }
  expect(await listed(t)).toEqual([{ email: GUEST, roles: ['editor'], mailed: true, ...times }])
  expect((await cli(t, 'users', 'invitations')).out).toMatch(
    /^EMAIL +INVITED.*\nguest@example\.com .* mailed +editor\n$/,
  )

  await cli(t, 'users', 'invite', GUEST)
  expect(await listed(t)).toMatchObject([{ email: GUEST, roles: [] }])
  expect((await cli(t, 'users', 'invite', GUEST, '--revoke')).out).toBe(`The invitation of ${GUEST} is taken back.\n`)
  expect(await listed(t)).toEqual([])
  expect((await cli(t, 'users', 'invitations')).out).toBe('No invitations.\n')
  const mail = await mailboxes.one(GUEST, 'invitation')
  const answer = await post(t, '/invitations/accept', { token: mail.token, password: TEST_PASSWORD })
  expect(answer.json().code).toBe('invalid_code')
  expect(await cli(t, 'users', 'invite', GUEST, '--revoke')).toMatchObject({
    code: 3,
    err: expect.stringContaining('The address has no invitation.'),
  })
})

test.each([
  ['because the operator says so', {}, ['--no-mail']],
  ['because no mail is set up', { NODE_ENV: 'production', ISSUER: 'https://auth.example.com' }, []],
])('link and code are printed, %s', async (_why, env, options) => {
  await using t = await createTestApp({ env })
  const { invitation, link, code } = JSON.parse((await cli(t, 'users', 'invite', GUEST, '--json', ...options)).out) as {
    invitation: object
    link: string
    code: string
  }
  expect(invitation).toMatchObject({ email: GUEST, mailed: false })
  expect(link).toBe(`${t.config.ISSUER}/account/invitation#token=${link.split('=')[1]}`)
  expect(await openMailboxes(t).of(GUEST)).toEqual([])
  const answer = await post(t, '/invitations/accept', { email: GUEST, code, password: TEST_PASSWORD })
  expect([answer.statusCode, answer.json().user.email_verified]).toEqual([201, false])
  const human = await cli(t, 'users', 'invite', 'b@example.com', ...options)
  expect(human.out).toMatch(/^Invited b@example\.com\. Hand over.*\n\nlink {2}\S+#token=[\w-]{43}\ncode {2}\d{8}\n$/)
})

test('where no page would take the link, the code is printed alone', async () => {
  const production = { NODE_ENV: 'production', ISSUER: 'https://auth.example.com', PAGES: 'off' }
  await using t = await createTestApp({ env: production })
  expect((await cli(t, 'users', 'invite', GUEST)).out).toMatch(/^Invited guest@example\.com\..*\n\ncode {2}\d{8}\n$/)
  const { link, code } = JSON.parse((await cli(t, 'users', 'invite', GUEST, '--json')).out)
  expect([link, code]).toEqual([null, expect.stringMatching(/^\d{8}$/)])
  await using own = await createTestApp({ join: t, env: { APP_URL: 'https://app.example.com/{page}#token={token}' } })
  expect((await cli(own, 'users', 'invite', GUEST)).out).toContain('https://app.example.com/invitation#token=')
})

test.each([
  [['taken@example.com'], 1, 'An account with this e-mail address exists'],
  [['not an address'], 1, 'The e-mail address is not acceptable'],
  [[GUEST, '--role', 'a b'], 1, 'A role has 1 to 64'],
  [[GUEST, '--language', 'fr'], 2, '--language takes one of en, de, ru'],
  [[GUEST, '--revoke', '--role', 'a'], 2, '--revoke takes no other option'],
  [[], 2, 'an argument is missing'],
])('users invite %j is refused, and nobody is invited', async (args, code, message) => {
  await using t = await createTestApp()
  await t.signUp('taken@example.com')
  expect(await cli(t, 'users', 'invite', ...args)).toMatchObject({
    code,
    out: '',
    err: expect.stringContaining(message),
  })
  expect(await listed(t)).toEqual([])
})
