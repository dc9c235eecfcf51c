import type { Locale } from '../../languages.ts'

/** What is told about the request that a mail is about. Whoever sent it chose the User-Agent. */
export interface Asked {
  /** ISO 8601. */
  at: string
  /** Client address; null for the command line. */
  address: string | null
  userAgent: string | null
}

/** What makes a link: the token for its fragment, and the code for whoever reads the mail on another device. */
interface Proof {
  token: string
  /** Eight digits. */
  code: string
  /** ISO 8601. */
  expiresAt: string
}

/** What each template is told, besides the address and the language. */
interface Contents {
  'verify-email': Proof & { asked: Asked }
  'reset-password': Proof & { asked: Asked }
  /** To the new address. */
  'change-email': Proof & { asked: Asked }
  invitation: Proof
  /** Somebody registered with an address that has an account. */
  'account-exists': { asked: Asked }
  /** To the old address, when a change is asked for. */
  'email-change-asked': { newEmail: string; asked: Asked }
  /** To the old address, when the change has taken effect; the token takes it back. */
  'email-changed': { newEmail: string; token: string; expiresAt: string; asked: Asked }
  /** To the address in between, when the account has the one before again; it takes nothing back. */
  'email-change-undone': { newEmail: string; asked: Asked }
  /** To the old address, if an operator changed it: there is nothing to take back. */
  'email-changed-by-operator': { newEmail: string; asked: Asked }
  'password-changed': { asked: Asked }
  'password-reset': { asked: Asked }
  'password-disabled': { asked: Asked }
  'new-device': { asked: Asked }
  'session-reuse': { asked: Asked }
}

export type Template = keyof Contents

/** A mail as the outbox keeps it: what to say and to whom. The words are found when it is handed over. */
export type Mail = { [T in Template]: { to: string; locale: Locale; template: T } & Contents[T] }[Template]
