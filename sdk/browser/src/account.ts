import { claimsOf } from './held.ts'
import { read } from './issuer.ts'
import type { Client } from './types.ts'

/** What the issuer knows of whoever is signed in. */
export interface Profile {
  readonly id: string
  readonly email: string
  readonly email_verified: boolean
  readonly roles: readonly string[]
  /** What an operator has set. */
  readonly claims: Readonly<Record<string, unknown>>
  readonly created_at: string
}

/** A place where somebody is signed in. Times as in ISO 8601. */
export interface Session {
  readonly id: string
  readonly client_id: string
  readonly created_at: string
  readonly last_used_at: string
  /** If it is not used before. */
  readonly expires_at: string
  readonly user_agent: string | null
  readonly address: string | null
  /** The session of this client. */
  readonly current: boolean
}

export interface PasswordChange {
  currentPassword: string
  newPassword: string
}

/**
 * What people do with their own account. Every call rejects with a `ClavigerError`: `invalid_grant` if nobody is signed in,
 * `insufficient_scope` if the client's `scope` leaves out `account`.
 */
export interface Account {
  me(): Promise<Profile>
  /** All that are alive, this one among them. */
  sessions(): Promise<readonly Session[]>
  /** Ended that of this client, all its tabs are signed out. @throws ClavigerError `not_found` if there is none of that id. */
  endSession(id: string): Promise<void>
  endOtherSessions(): Promise<void>
  /**
   * Ends all other sessions. This one goes on, in all its tabs.
   * @throws ClavigerError `invalid_credentials`, `password_too_short`, `password_blocked`, `too_many_requests` …
   */
  changePassword(change: PasswordChange): Promise<void>
}

export function account(auth: Client): Account {
  async function ask<Answer>(method: string, path: string, init?: RequestInit): Promise<Answer> {
    // Without one the issuer would have nothing to say but that it is missing.
    await auth.getAccessToken()
    return (await read(auth.issuer, await auth.fetch(auth.issuer + path, { ...init, method }))) as Answer
  }

  return {
    me: () => ask('GET', '/me'),
    sessions: async () => (await ask<{ sessions: Session[] }>('GET', '/sessions')).sessions,
    endSession: async (id) => {
      const { sid } = claimsOf(await auth.getAccessToken())
      await ask('DELETE', `/sessions/${encodeURIComponent(id)}`)
      // So that this client learns of it at once. If that fails, it does when it next needs a token.
      if (sid === id.toLowerCase()) await auth.refresh().catch(() => {})
    },
    endOtherSessions: async () => void (await ask('DELETE', '/sessions')),
    changePassword: async ({ currentPassword, newPassword }) => {
      const headers = {
        'content-type': 'application/json',
        // `fetch` would take the 401 of a wrong password for that of a token and ask again: that would be two wrong guesses.
        authorization: `Bearer ${await auth.getAccessToken()}`,
      }
      const body = JSON.stringify({ current_password: currentPassword, new_password: newPassword })
      await ask('POST', '/password', { headers, body })
    },
  }
}
