import { claimsOf } from './held.ts'
import { read } from './issuer.ts'
import type { Client } from './types.ts'

/** What the issuer knows about the user who is signed in. */
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

/**
 * The user's own account. Failing calls reject with a `ClavigerError`: `invalid_grant` if nobody is signed in,
 * `insufficient_scope` if the client's `scope` leaves out `account`.
 */
export interface Account {
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
}

export function account(auth: Client): Account {
  async function ask<Answer>(method: string, path: string, init?: RequestInit): Promise<Answer> {
    // Rejects if nobody is signed in. Asked without a token, the issuer would only say that it is missing.
    await auth.getAccessToken()
    return (await read(auth.issuer, await auth.fetch(auth.issuer + path, { ...init, method }))) as Answer
  }

  return {
    me: () => ask('GET', '/me'),
    sessions: async () => (await ask<{ sessions: Session[] }>('GET', '/sessions')).sessions,
    endSession: async (id) => {
      const { sid } = claimsOf(await auth.getAccessToken())
      await ask('DELETE', `/sessions/${encodeURIComponent(id)}`)
      // Lets this client learn of it at once. If that fails, it will when it next needs a token.
      if (sid === id.toLowerCase()) await auth.refresh().catch(() => {})
    },
    endOtherSessions: async () => void (await ask('DELETE', '/sessions')),
    changePassword: async ({ currentPassword, newPassword }) => {
      const headers = {
        'content-type': 'application/json',
        // The client's `fetch` would take the 401 for a wrong password for a refused token and ask again: two wrong
        // guesses.
        authorization: `Bearer ${await auth.getAccessToken()}`,
      }
      const body = JSON.stringify({ current_password: currentPassword, new_password: newPassword })
      await ask('POST', '/password', { headers, body })
    },
  }
}
