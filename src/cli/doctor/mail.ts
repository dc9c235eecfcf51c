import type { Config } from '../../config/config.ts'
import { type Cause, explainSmtp } from '../../outbox/mail/smtp-failure.ts'
import { loadTemplates, TemplateError } from '../../outbox/mail/templates.ts'
import { probe } from '../../outbox/mail/transport.ts'
import { bad, type Finding, fine } from './finding.ts'

const check = 'mail'

/** Whether the mail server would take mails of ours, and whether there are words for them. Sends nothing. */
export async function checkMail(config: Config, smtpUrl: string | undefined): Promise<Finding[]> {
  return [...checkTemplates(config), await checkServer(config, smtpUrl)]
}

function checkTemplates({ MAIL_TEMPLATES }: Config): Finding[] {
  try {
    loadTemplates(MAIL_TEMPLATES)
    return []
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error
    return error.faults.map((fault) => bad(check, fault, 'see “Mail” in docs/operations.md'))
  }
}

async function checkServer(config: Config, smtpUrl: string | undefined): Promise<Finding> {
  if (smtpUrl === undefined) {
    return config.mail === 'off'
      ? fine(check, 'SMTP_URL is not set: nothing that needs mail is offered')
      : fine(check, 'SMTP_URL is not set: mails are shown in the log')
  }
  // Without the user and the password.
  const { host, protocol } = new URL(smtpUrl)
  try {
    const { encrypted, signedIn } = await probe(config, smtpUrl)
    const how = `${encrypted ? 'over TLS' : 'in plain text'}${signedIn ? ', with its login' : ''}`
    return fine(check, `${protocol}//${host} answers, ${how}`)
  } catch (error) {
    const { cause, message } = explainSmtp(error)
    return bad(check, `${protocol}//${host}: ${message}`, REMEDIES[cause])
  }
}

const WAY = 'check host and port in SMTP_URL, and that this machine may connect there: many networks close port 25'
const REMEDIES: Record<Cause, string> = {
  connection: WAY,
  timeout: WAY,
  tls: 'smtps:// is for TLS from the start, usually at port 465, smtp:// for STARTTLS, usually at 587; the certificate must be for the host in SMTP_URL, from an authority in Node’s list or in NODE_EXTRA_CA_CERTS',
  login: 'check user and password in SMTP_URL, and that they are percent-encoded',
  refused: 'look at the log of the mail server',
  recipient: 'look at the log of the mail server',
}
