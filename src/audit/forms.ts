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
const CODE_REASONS = {
  unknown_link: 'no such link was mailed, or it was used or replaced',
  expired: 'the link was too old',
  no_code: 'no code is live for the address, or five wrong ones were tried',
  wrong_code: 'the digits were others',
  used: 'it was used or voided at that very moment',
  user_disabled: 'the account is disabled',
} as const
export const FROM_MAILBOX = {
  tallied: true,
  reasons: CODE_REASONS,
  details: { identifier: { ...IDENTIFIER, optional: true, meaning: `${IDENTIFIER.meaning}, with a code` } },
} as const
export const KEY = { details: { kid: { kind: 'text', meaning: 'the key' } } } as const
export const DELIVERY = {
  delivery: { kind: 'text', meaning: 'its id, which is part of the `Message-ID` of a mail' },
  kind: { kind: 'text', meaning: 'what it is, such as `mail`' },
} as const
export const GENERATIONS = {
  presented: { kind: 'number', meaning: 'generation of the token that came' },
  current: { kind: 'number', meaning: 'generation that was current' },
} as const
