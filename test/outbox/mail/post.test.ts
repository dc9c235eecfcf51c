import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import PostalMime from 'postal-mime'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createMetrics } from '../../../src/metrics.ts'
import { NotDelivered, Undeliverable } from '../../../src/outbox/failure.ts'
import { createPost } from '../../../src/outbox/mail/post.ts'
import { makeCertificate } from '../../support/certificate.ts'
import { refusal, startSilentServer, startSmtpServer } from '../../support/smtp.ts'

const LETTER = { subject: 'Сброс пароля', text: 'Hier:\n\nhttps://auth.example.com/x\n', html: '<p>Grüße</p>' }
const ID = '01912345-6789-7abc-8def-0123456789ab'
const DATE = new Date('2026-11-27T14:13:05Z')

function postTo(url: string, { from = 'Example <no-reply@example.com>' } = {}) {
  const metrics = createMetrics()
  const config = { ISSUER: 'https://auth.example.com:8443', MAIL_FROM: from }
  const post = createPost({ config, metrics }, url)
  onTestFinished(() => post.close())
  const send = (to = 'anna@example.com', signal = new AbortController().signal) =>
    post.handOver(LETTER, { to, id: ID, date: DATE, signal })
  const counted = async () =>
    (await metrics.mailFailures.get()).values.filter(({ value }) => value > 0).map(({ labels }) => labels.cause)
  return { send, counted, close: post.close }
}

/** How handing over fails. */
async function failureOf(sending: Promise<void>): Promise<{ final: boolean; message: string }> {
  const error = await sending.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(NotDelivered)
  return { final: error instanceof Undeliverable, message: (error as NotDelivered).message }
}

test('a mail arrives as it was written', async () => {
  await using server = await startSmtpServer()
  const { send, counted } = postTo(`smtp://localhost:${server.port}`)
  await send()
  const [mail] = server.mails
  expect(mail).toMatchObject({ from: 'no-reply@example.com', to: ['anna@example.com'], tls: false, user: undefined })
  const read = await PostalMime.parse(mail?.raw ?? '')
  expect(read).toMatchObject({
    subject: LETTER.subject,
    from: { name: 'Example', address: 'no-reply@example.com' },
    to: [{ name: '', address: 'anna@example.com' }],
    messageId: `<${ID}@auth.example.com>`,
    date: DATE.toISOString(),
  })
  expect([read.text, read.html].map((form) => form?.trimEnd())).toEqual([LETTER.text.trimEnd(), LETTER.html])
  expect(read.headers).toContainEqual(expect.objectContaining({ key: 'auto-submitted', value: 'auto-generated' }))
  const names = (mail?.raw.split('\r\n\r\n')[0] ?? '').match(/^[\w-]+(?=:)/gm)
  expect(new Set(names)).toEqual(
    new Set(['Auto-Submitted', 'From', 'To', 'Subject', 'Message-ID', 'Date', 'MIME-Version', 'Content-Type']),
  )
  expect(await counted()).toEqual([])
})

test('the second attempt is the same mail', async () => {
  await using server = await startSmtpServer()
  const { send } = postTo(`smtp://127.0.0.1:${server.port}`)
  await send()
  await send()
  const [first = '', second = ''] = server.mails.map(({ raw }) => raw.replaceAll(/--_NmP-[\w-]+/g, '--'))
  const headers = (raw: string) => raw.split('\r\n').filter((line) => /^(Message-ID|Date|Subject|To|From):/.test(line))
  expect(headers(second)).toEqual(headers(first))
  expect(headers(first)).toHaveLength(5)
  expect(server.mails[0]?.session).toBe(server.mails[1]?.session)
})

test.each([
  ['eve@evil.example, anna@example.com'],
  ['anna@example.com\r\nBcc: eve@evil.example'],
  ['anna@example.com>\r\nRCPT TO:<eve@evil.example'],
  ['Anna <eve@evil.example>'],
  ['"eve@evil.example x"@example.com'],
  ['anna@example.com\u2028Bcc: eve@evil.example'],
  ['anna@exam\u202eple.com'],
  ['group: eve@evil.example;'],
  [''],
])('an address that is none, %j, reaches nobody', async (to) => {
  await using server = await startSmtpServer()
  const { send } = postTo(`smtp://127.0.0.1:${server.port}`)
  expect(await failureOf(send(to))).toEqual({ final: true, message: 'the address is not a mailbox' })
  expect(server.mails).toEqual([])
})

describe('what the server refuses', () => {
  test.each<[string, { rcpt?: string; data?: string; from?: string }, boolean, string]>([
    ['a mailbox that is not there', { rcpt: '550 5.1.1 No such user <anna@example.com>' }, true, 'recipient'],
    ['a mailbox that is full', { rcpt: '552 5.2.2 Over quota' }, true, 'recipient'],
    ['without an enhanced code', { rcpt: '553 Not here' }, true, 'recipient'],
    ['greylisting', { rcpt: '450 4.2.0 Greylisted, come back in 300 seconds' }, false, 'refused'],
    ['relaying', { rcpt: '554 5.7.1 Relay access denied' }, false, 'refused'],
    ['the sender, at the recipient', { rcpt: '550 5.1.8 Sender rejected' }, false, 'refused'],
    ['without a login', { rcpt: '530 5.7.0 Must issue a STARTTLS command first' }, false, 'refused'],
    ['the sender', { from: '550 5.1.0 Sender rejected' }, false, 'refused'],
    ['too busy', { from: '451 4.3.2 Try again later' }, false, 'refused'],
    ['the mail', { data: '554 5.6.0 Not liked' }, true, 'refused'],
    ['the mail, by policy', { data: '550 5.7.1 The sender is not verified' }, false, 'refused'],
    ['the mail, for now', { data: '452 4.3.1 Out of space' }, false, 'refused'],
  ])('%s', async (_name, { rcpt, data, from }, final, cause) => {
    await using server = await startSmtpServer({
      onMailFrom: (_address, _session, done) => done(from === undefined ? null : refusal(from)),
      onRcptTo: (_address, _session, done) => done(rcpt === undefined ? null : refusal(rcpt)),
      ...(data === undefined
        ? {}
        : { onData: (stream, _session, done) => void stream.resume().on('end', () => done(refusal(data))) }),
    })
    const { send, counted } = postTo(`smtp://127.0.0.1:${server.port}`)
    const failure = await failureOf(send())
    expect(failure.final).toBe(final)
    const code = /\d{3}/.exec(rcpt ?? data ?? from ?? '')?.[0]
    expect(failure.message).toMatch(new RegExp(`^the mail server refused [a-z, ]+ \\(${code}\\)$`))
    expect(await counted()).toEqual([cause])
  })

  test('a mail that was refused does not stand in the way of the next', async () => {
    await using server = await startSmtpServer({
      onRcptTo: ({ address }, _session, done) =>
        done(address.startsWith('nobody') ? refusal('550 No such user') : null),
    })
    const { send } = postTo(`smtp://127.0.0.1:${server.port}`)
    await failureOf(send('nobody@example.com'))
    await send()
    expect(server.mails.map(({ to }) => to)).toEqual([['anna@example.com']])
  })
})

describe('the login', () => {
  const guarded = () =>
    startSmtpServer({
      disabledCommands: ['STARTTLS'],
      allowInsecureAuth: true,
      authOptional: false,
      onAuth: ({ username, password }, _session, done) =>
        username === 'us:er' && password === 'pa@ss/%'
          ? done(null, { user: username })
          : done(refusal('535 5.7.8 Bad credentials')),
    })

  test('is the one of the URL', async () => {
    await using server = await guarded()
    await postTo(`smtp://us%3Aer:pa%40ss%2F%25@localhost:${server.port}`).send()
    expect(server.mails).toMatchObject([{ user: 'us:er' }])
  })

  test('that is refused is tried again: somebody will mend it', async () => {
    await using server = await guarded()
    const { send, counted } = postTo(`smtp://user:hunter2@localhost:${server.port}`)
    expect(await failureOf(send())).toEqual({ final: false, message: 'the mail server did not accept the login (535)' })
    expect(await counted()).toEqual(['login'])
  })

  test('that the server does not offer is not left out', async () => {
    await using server = await startSmtpServer()
    const failure = await failureOf(postTo(`smtp://user:hunter2@localhost:${server.port}`).send())
    expect(failure).toMatchObject({ final: false, message: expect.stringContaining('login') })
    expect(server.mails).toEqual([])
  })
})

// To a server on this machine mail may go in plain text. This is an address of it too, but not known for one.
const ELSEWHERE = '0.0.0.0'

describe('TLS', () => {
  const { certificate: cert, key } = makeCertificate(ELSEWHERE)

  test.each([
    ['STARTTLS', 'smtp', false],
    ['TLS from the start', 'smtps', true],
  ])('%s, with a certificate that somebody vouches for', async (_name, scheme, secure) => {
    const trusted = getCACertificates()
    setDefaultCACertificates([cert])
    onTestFinished(() => setDefaultCACertificates(trusted))
    await using server = await startSmtpServer({ cert, key, secure, disabledCommands: ['AUTH'] })
    await postTo(`${scheme}://${ELSEWHERE}:${server.port}`).send()
    expect(server.mails).toMatchObject([{ to: ['anna@example.com'], tls: true }])
  })

  test('a server elsewhere that offers none gets no mail and no password', async () => {
    await using server = await startSilentServer([
      '220 mail',
      '250-mail\r\n250 AUTH PLAIN LOGIN',
      '502 no',
      '235 yes',
      '250 ok',
      '250 ok',
    ])
    const { send, counted } = postTo(`smtp://user:hunter2@${ELSEWHERE}:${server.port}`)
    expect(await failureOf(send())).toEqual({
      final: false,
      message: expect.stringMatching(/^no TLS with the mail server/),
    })
    expect(await counted()).toEqual(['tls'])
    expect(server.heard).toEqual(['EHLO auth.example.com\r\n', 'STARTTLS\r\n'])
  })

  test.each([
    ['STARTTLS', `smtp://${ELSEWHERE}`, false],
    ['TLS from the start', `smtps://${ELSEWHERE}`, true],
    ['TLS from the start, on this machine', 'smtps://localhost', true],
  ])('%s: a certificate that nobody vouches for', async (_name, url, secure) => {
    await using server = await startSmtpServer({ cert, key, secure, disabledCommands: ['AUTH'] })
    const { send, counted } = postTo(`${url}:${server.port}`)
    const message = 'no TLS with the mail server (DEPTH_ZERO_SELF_SIGNED_CERT)'
    expect(await failureOf(send())).toEqual({ final: false, message })
    expect(await counted()).toEqual(['tls'])
    expect(server.mails).toEqual([])
  })

  test('a server that speaks no TLS where it should', async () => {
    await using server = await startSmtpServer()
    const failure = await failureOf(postTo(`smtps://localhost:${server.port}`).send())
    expect(failure).toEqual({ final: false, message: expect.stringMatching(/^no TLS with the mail server \(ERR_SSL_/) })
  })
})

describe('a server that falls silent', () => {
  const EHLO = ['220 mail', '250 mail']
  test.each<[string, string[]]>([
    ['before its greeting', []],
    ['after its greeting', EHLO.slice(0, 1)],
    ['at the sender', EHLO],
    ['at the recipient', [...EHLO, '250 ok']],
    ['before the mail', [...EHLO, '250 ok', '250 ok']],
    ['with the mail in its hands', [...EHLO, '250 ok', '250 ok', '354 go on']],
    ['in the middle of an answer', [...EHLO, '250-ok']],
  ])('%s', async (_name, answers) => {
    await using server = await startSilentServer(answers)
    const { send, counted } = postTo(`smtp://127.0.0.1:${server.port}`)
    expect(await failureOf(send('anna@example.com', AbortSignal.timeout(300)))).toEqual({
      final: false,
      message: 'the mail server did not answer in time',
    })
    expect(await counted()).toEqual(['timeout'])
  })

  test('does not keep its connections from others', async () => {
    await using server = await startSmtpServer({
      onRcptTo: ({ address }, _session, done) => void (address.startsWith('slow') || done()),
    })
    const { send } = postTo(`smtp://127.0.0.1:${server.port}`)
    const slow = Array.from({ length: 8 }, () => failureOf(send('slow@example.com', AbortSignal.timeout(300))))
    expect(await Promise.all(slow)).toEqual(
      slow.map(() => ({ final: false, message: 'the mail server did not answer in time' })),
    )
    await send()
    expect(server.mails).toHaveLength(1)
  })

  test('is let go of at the end', async () => {
    await using server = await startSilentServer([...EHLO, '250 ok'])
    const { send, close } = postTo(`smtp://127.0.0.1:${server.port}`)
    const sending = failureOf(send())
    await expect.poll(() => server.heard.length).toBeGreaterThan(1)
    await close()
    expect((await sending).final).toBe(false)
  })
})

test('a server that is not there', async () => {
  const { send, counted } = postTo('smtp://127.0.0.1:1')
  expect(await failureOf(send())).toEqual({ final: false, message: 'no connection to the mail server (ECONNREFUSED)' })
  expect(await counted()).toEqual(['connection'])
})

test('a server that hangs up at once', async () => {
  await using server = await startSmtpServer({
    onConnect: (_session, done) => done(refusal('421 4.3.2 Too many connections')),
  })
  expect((await failureOf(postTo(`smtp://127.0.0.1:${server.port}`).send())).final).toBe(false)
})
