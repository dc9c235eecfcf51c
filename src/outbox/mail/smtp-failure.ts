import { NotDelivered, Undeliverable } from '../failure.ts'

/** What stands in the way of a mail, as the metric counts it. */
export const CAUSES = ['connection', 'timeout', 'tls', 'login', 'refused', 'recipient'] as const
export type Cause = (typeof CAUSES)[number]

/** What the library adds to its errors. The words in them quote the server, which may quote the mail. */
interface SmtpError {
  code?: string
  /** Of the system or of TLS. */
  originalCode?: string
  command?: string
  response?: string
  responseCode?: number
}

export interface Failure {
  cause: Cause
  /** Words of ours and codes. */
  message: string
}

/** By the command that was refused. */
const WHAT: Record<string, string> = {
  'MAIL FROM': 'the sender',
  'RCPT TO': 'the recipient for now, or the way to it',
  DATA: 'the mail',
}

/** @param error of connecting to a mail server, or of handing a mail over. */
export function explainSmtp(error: unknown): Failure {
  const { code = '', originalCode, command, responseCode } = error as SmtpError
  const because = originalCode === undefined ? '' : ` (${originalCode})`
  const status = responseCode === undefined ? '' : ` (${responseCode})`
  if (code === 'ETIMEDOUT' || code === 'EABORT')
    return { cause: 'timeout', message: 'the mail server did not answer in time' }
  if (code === 'EAUTH') return { cause: 'login', message: `the mail server did not accept the login${status}` }
  if (code === 'ETLS' || isOfCertificate(originalCode))
    return { cause: 'tls', message: `no TLS with the mail server${because || status}` }
  if (command === 'RCPT TO' && isAboutRecipient(error as SmtpError))
    return { cause: 'recipient', message: `the mail server refused the address${status}` }
  if (responseCode !== undefined)
    return { cause: 'refused', message: `the mail server refused ${WHAT[command ?? ''] ?? 'to talk to us'}${status}` }
  if (code === 'EDNS') return { cause: 'connection', message: `the name of the mail server was not found${because}` }
  return { cause: 'connection', message: `no connection to the mail server${because || codeOf(code)}` }
}

/**
 * Whether another attempt may succeed. What the server has against this recipient or this mail is final (RFC 5321 §4.2.1); what
 * it has against us, a wrong password or a sender that it does not take, somebody will mend.
 */
export function failureOf(error: unknown): NotDelivered {
  const { message } = explainSmtp(error)
  return isFinal(error as SmtpError) ? new Undeliverable(message) : new NotDelivered(message)
}

function isFinal(error: SmtpError): boolean {
  return ['RCPT TO', 'DATA'].includes(error.command ?? '') && isAboutRecipient(error)
}

/** Codes for a login that is missing or too weak (RFC 4954 §6), and one that says nothing about the mail. */
const OURS = [503, 530, 534, 535, 538]

/** By the enhanced code (RFC 3463), if there is one: X.1.7 and X.1.8 mean the sender, X.3 the server, X.7 what we may do there. */
function isAboutRecipient({ responseCode = 0, response = '' }: SmtpError): boolean {
  if (responseCode < 500 || OURS.includes(responseCode)) return false
  return !/^\d{3}[ -]5\.([37]\.|1\.[78]\b)/.test(response)
}

/** Node's names for certificates that do not convince, and OpenSSL's. */
function isOfCertificate(code: string | undefined): boolean {
  return code !== undefined && /CERT|^ERR_TLS|^ERR_SSL|SELF_SIGNED|ISSUER/.test(code)
}

function codeOf(code: string): string {
  return /^[A-Z]{2,20}$/.test(code) ? ` (${code})` : ''
}
