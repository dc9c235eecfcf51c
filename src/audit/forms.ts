/** What an outcome of an event may tell besides whom it is about. */
interface Form {
  /** The meaning of each value of the column `reason`. Without it, the column is empty. */
  readonly reasons?: Readonly<Record<string, string>>
  /** The members of the column `details`. */
  readonly details?: Readonly<Record<string, Field>>
  /** Set for events that change nothing, which anybody can cause as often as they like; see createTally. */
  readonly tallied?: true
}

interface Field {
  readonly kind: 'text' | 'number' | 'names' | 'settings'
  readonly meaning: string
  readonly optional?: true
}

export interface Entry {
  /** What happened. */
  readonly meaning: string
  readonly success?: Form
  readonly failure?: Form
}

export const IDENTIFIER = {
  kind: 'text',
  // Hashed, because people type passwords into the e-mail field.
  meaning: 'keyed hash (HMAC) of the address that was typed',
} as const
export const NOT_PROVED = {
  tallied: true,
  reasons: {
    wrong_password: 'the present password was not proved',
    backoff: 'too soon after failures; the password was not looked at',
  },
} as const
export const LINK_REASONS = {
  unknown_link: 'no such link was mailed, or it was used or replaced',
  expired: 'the link was too old',
} as const
const MAILED_REASONS = {
  ...LINK_REASONS,
  no_code: 'no code is live for the address, or five wrong ones were tried',
  wrong_code: 'the digits were others',
} as const
export const CODE_REASONS = { ...MAILED_REASONS, user_disabled: 'the account is disabled' } as const
const USED = { used: 'it was used or voided at that very moment' } as const
export const FROM_MAILBOX = {
  tallied: true,
  reasons: { ...CODE_REASONS, ...USED },
  details: { identifier: { ...IDENTIFIER, optional: true, meaning: `${IDENTIFIER.meaning}, with a code` } },
} as const
export const INVITED = { ...FROM_MAILBOX, reasons: { ...MAILED_REASONS, ...USED } } as const
export const CLIENT_NOT_PROVED = {
  tallied: true,
  reasons: {
    unknown_client: 'there is no such service client, or it is disabled',
    wrong_secret: 'none of its secrets, or one that has expired',
    wrong_method: 'it is registered to prove itself in another way',
    wrong_assertion:
      'its JWT is not as it was registered to be, or not signed by a key of it; the log says what differs',
    replayed: 'its JWT had been used before',
    no_proof: 'nothing that could be read was sent to prove a client',
    backoff: 'too soon after failures from the same network; the proof was not looked at',
  },
} as const
export const EXPORTED = { details: { password_hashes: { kind: 'text', meaning: '`yes` or `no`' } } } as const
export const KEY = { details: { kid: { kind: 'text', meaning: 'the key' } } } as const
export const DELIVERY = {
  delivery: { kind: 'text', meaning: 'its id, which is part of the `Message-ID` of a mail' },
  kind: { kind: 'text', meaning: 'what it is, such as `mail`' },
} as const
export const GENERATIONS = {
  presented: { kind: 'number', meaning: 'generation of the token that came' },
  current: { kind: 'number', meaning: 'generation that was current' },
} as const
/** Why a session ended. */
export const END_CAUSES = {
  logout: 'its user signed out',
  session_ended_by_user: 'its user ended it in the list of sessions',
  revoked_by_client: 'its client revoked a token of it',
  reuse_detected: 'a refresh token that had been replaced was presented again',
  password_changed: 'the password of the account was changed',
  password_reset: 'the password of the account was reset with what was mailed to its address',
  user_disabled: 'an operator disabled the account',
  user_deleted: 'an operator deleted the account',
  email_change_undone: 'the account was taken back from the mailbox of its former address',
  replaced_by_login: 'somebody signed in again in the same browser',
  too_many_sessions: 'a sign-in was one more than an account may have sessions',
  client_disabled: 'an operator disabled the client, or removed it',
  operator: 'an operator ended it',
} as const
