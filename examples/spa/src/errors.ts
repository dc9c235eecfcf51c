import { ClavigerError } from '@claviger/browser'

const sentences: Record<string, string> = {
  invalid_credentials: 'Wrong e-mail address or password.',
  invalid_email: 'This address will not do.',
  email_taken: 'There is an account with this address. Sign in instead?',
  registration_closed: 'Registration is closed here. Use the demo account instead.',
  password_too_short: 'This password is too short: eight characters at least.',
  password_too_long: 'This password is too long.',
  password_blocked: 'This password is too easy to guess.',
  email_unverified: 'The address is not confirmed yet. Open the link in the mail.',
  invalid_code: 'This link or code is no longer good: each works once, and only the newest. Ask for another mail.',
  invalid_grant: 'The session is over. Sign in again.',
}

/** What went wrong, and what to do, for a person. */
export function explain(error: unknown): string {
  if (!(error instanceof ClavigerError)) return navigator.onLine ? unreachable : offline
  const known = sentences[error.code]
  if (known) return known
  // For whoever runs the page: it is served from where it cannot work, and the message says what it takes.
  if (['origin_not_allowed', 'cookie_blocked', 'wrong_issuer'].includes(error.code)) return error.message
  if (error.status === 429) return `Too many attempts. ${wait(error.retryAfter)}`
  if (error.status >= 500) return `The server cannot answer at the moment. ${wait(error.retryAfter)}`
  if (error.status > 0) return error.message
  return navigator.onLine ? unreachable : offline
}

const offline = 'You are offline. Try again when the network is back.'
const unreachable = 'The server does not answer.'

function wait(seconds: number | undefined): string {
  if (!seconds) return 'Try again in a moment.'
  return seconds < 90 ? `Try again in ${seconds} s.` : `Try again in ${Math.ceil(seconds / 60)} minutes.`
}
