import { claimsOf } from './held.ts'
import { read } from './issuer.ts'
import type { Client, Internals } from './types.ts'

export { takeToken } from './token.ts'

/** What the issuer knows about a user. */
export interface Profile {
  readonly id: string
  readonly email: string
  readonly email_verified: boolean
  readonly roles: readonly string[]
  /** Custom claims, set by operators. */
  readonly claims: Readonly<Record<string, unknown>>
  readonly created_at: string
}

/** A session of the user, here or elsewhere. Times are in ISO 8601. */
export interface Session {
  readonly id: string
  readonly client_id: string
  readonly created_at: string
  readonly last_used_at: string
  /** When it ends unless it is used. */
  readonly expires_at: string
  readonly user_agent: string | null
  readonly address: string | null
  /** Whether it is the session of this client. */
  readonly current: boolean
}

export interface PasswordChange {
  currentPassword: string
  newPassword: string
}

export interface EmailChange {
  email: string
  currentPassword: string
}

/** What a mail brought: the token of its link, or its code together with the address that it was sent to. */
export type Proof = { token: string } | { email: string; code: string }

/** What is asked in the name of the user who is signed in. */
export interface OwnAccount {
  me(): Promise<Profile>
  /** All live sessions, including this one. */
  sessions(): Promise<readonly Session[]>
  /** Ends a session. If it is this client's own, all its tabs are signed out. @throws ClavigerError `not_found`. */
  endSession(id: string): Promise<void>
  endOtherSessions(): Promise<void>
  /**
   * Changes the password and ends all other sessions. This one goes on, in all its tabs.
   * @throws ClavigerError `invalid_credentials`, `password_too_short`, `password_blocked`, `too_many_requests` …
   */
  changePassword(change: PasswordChange): Promise<void>
  /**
   * Sends a link and a code to another address, for `confirmEmail`. Until then the account keeps its present one, which is
   * told. Resolves whether or not there is an account with the other address.
   * @throws ClavigerError `invalid_credentials`, `invalid_email`, `too_many_requests` …
   */
  changeEmail(change: EmailChange): Promise<void>
}

/**
 * What mails lead to. Nobody need be signed in, and nobody is signed in by it. A link may be opened on another device than
 * the one that asked. Whatever is wrong with a token or a code, it is `invalid_code`: ask for another mail.
 */
export interface ByMail {
  /** Sends a link and a code that reset the password. Resolves whether or not there is such an account. */
  forgotPassword(account: { email: string }): Promise<void>
  /** Sets a password and ends all sessions. @throws ClavigerError `invalid_code`, `password_too_short` … */
  resetPassword(reset: Proof & { newPassword: string }): Promise<void>
  /** Sends the link and the code of a registration again. Resolves whether or not there is such an account. */
  resendVerification(account: { email: string }): Promise<void>
  /**
   * Proves the address of an account. The owner of the mailbox states the password: another one than that of the
   * registration replaces it and ends all sessions.
   * @throws ClavigerError `invalid_code`, `password_too_short` …
   */
  verifyEmail(verification: Proof & { password: string }): Promise<void>
  /**
   * Gives the account the address that `changeEmail` was called with. By the link nobody need be signed in; the code is for
   * the user who is, and has asked.
   * @throws ClavigerError `invalid_code`, `email_taken`; with a code `invalid_grant` if nobody is signed in …
   */
  confirmEmail(proof: { token: string } | { code: string }): Promise<void>
  /**
   * Gives the account the address back that it had, by the link that was sent there. All sessions end, and the password is
   * refused until it is reset.
   * @throws ClavigerError `invalid_code` …
   */
  undoEmailChange(proof: { token: string }): Promise<void>
  /**
   * Makes the account that somebody was invited to.
   * @throws ClavigerError `invalid_code`, `email_taken`, `password_too_short` …
   */
  acceptInvitation(acceptance: Proof & { password: string }): Promise<Profile>
}

/**
 * The user's account. Failing calls reject with a `ClavigerError`; those in the user's name with `invalid_grant` if nobody
 * is signed in, and with `insufficient_scope` if the client's `scope` leaves out `account`.
 */
export interface Account extends OwnAccount, ByMail {}

export function account(auth: Client): Account {
  const { post } = auth as Client & Internals

  async function ask<Answer>(method: string, path: string, init?: RequestInit): Promise<Answer> {
    // Rejects if nobody is signed in. Asked without a token, the issuer would only say that it is missing.
    await auth.getAccessToken()
    return (await read(auth.issuer, await auth.fetch(auth.issuer + path, { ...init, method }))) as Answer
  }

  const send = (path: string, body: object, headers?: Record<string, string>): Promise<unknown> =>
    ask('POST', path, { headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) })

  /** With the password in the body, which may be wrong. */
  async function prove(path: string, body: object): Promise<void> {
    // The client's `fetch` would take the 401 for a refused token and ask again: two wrong guesses.
    await send(path, body, { authorization: `Bearer ${await auth.getAccessToken()}` })
  }

  /** Lets the client and all tabs learn at once what has changed. If that fails, they will with the next token. */
  async function learn(): Promise<void> {
    if (auth.user) await auth.refresh().catch(() => {})
  }

  const change = async (path: string, body: object): Promise<void> => {
    await post(path, body)
    await learn()
  }

  return {
    me: () => ask('GET', '/me'),
    sessions: async () => (await ask<{ sessions: Session[] }>('GET', '/sessions')).sessions,
    endSession: async (id) => {
      const { sid } = claimsOf(await auth.getAccessToken())
      await ask('DELETE', `/sessions/${encodeURIComponent(id)}`)
      if (sid === id.toLowerCase()) await learn()
    },
    endOtherSessions: async () => void (await ask('DELETE', '/sessions')),
    changePassword: ({ currentPassword, newPassword }) =>
      prove('/password', { current_password: currentPassword, new_password: newPassword }),
    changeEmail: ({ email, currentPassword }) => prove('/email', { email, current_password: currentPassword }),

    forgotPassword: async ({ email }) => void (await post('/password/forgot', { email })),
    resetPassword: ({ newPassword, ...proof }) => change('/password/reset', { ...proof, new_password: newPassword }),
    resendVerification: async ({ email }) => void (await post('/email/resend', { email })),
    verifyEmail: (verification) => change('/email/verify', verification),
    confirmEmail: async (proof) => {
      if ('token' in proof) return change('/email/confirm', proof)
      await send('/email/confirm', proof)
      await learn()
    },
    undoEmailChange: (proof) => change('/email/undo', proof),
    acceptInvitation: async (acceptance) => (await post('/invitations/accept', acceptance)).user as Profile,
  }
}
