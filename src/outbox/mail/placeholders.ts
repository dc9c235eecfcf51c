import type { Template } from './mail.ts'

/** Everything that may stand between `{{` and `}}`, and what the mail then says there. */
export type Placeholder =
  | 'service' // what the service is called
  | 'link' // where to confirm, to choose a password, to accept, or to take a change back
  | 'code' // in two groups of four digits
  | 'lifetime' // how long link and code are good for, such as "30 minutes"
  | 'expires' // until when, in UTC
  | 'sign_in' // the address of the page to sign in at
  | 'forgot' // the address of the page to reset the password at
  | 'new_email' // the new address, so far that its owner recognises it
  | 'time' // when it was asked for or happened, in UTC
  | 'address' // from which IP address
  | 'device' // with which browser or program, as it said

/** These are addresses, and stand on a line of their own: a full stop behind one would be taken for a part of it. */
export const LINKS = ['link', 'sign_in', 'forgot'] as const satisfies Placeholder[]

/** Where the mail was caused by a request, what is known of that. A line whose placeholder has no value is left out. */
const FACTS = ['time', 'address', 'device'] as const

/** What a template must say, because it is of no use without, and what it may say besides. `service` may stand everywhere. */
export const PLACEHOLDERS: Record<Template, { must: readonly Placeholder[]; may: readonly Placeholder[] }> = {
  'verify-email': { must: ['link', 'code'], may: ['lifetime', 'expires', ...FACTS] },
  'reset-password': { must: ['link', 'code'], may: ['lifetime', 'expires', ...FACTS] },
  'change-email': { must: ['link', 'code'], may: ['lifetime', 'expires', ...FACTS] },
  invitation: { must: ['link', 'code'], may: ['lifetime', 'expires'] },
  'account-exists': { must: [], may: ['sign_in', 'forgot', ...FACTS] },
  'email-change-asked': { must: ['forgot'], may: ['new_email', ...FACTS] },
  'email-changed': { must: ['link'], may: ['new_email', 'lifetime', 'expires', ...FACTS] },
  'email-change-undone': { must: [], may: ['new_email', ...FACTS] },
  'email-changed-by-operator': { must: [], may: ['new_email', ...FACTS] },
  'password-changed': { must: ['forgot'], may: FACTS },
  'password-reset': { must: ['forgot'], may: FACTS },
  'password-disabled': { must: ['forgot'], may: FACTS },
  'new-device': { must: ['forgot'], may: FACTS },
  'session-reuse': { must: ['forgot'], may: ['sign_in', ...FACTS] },
}
