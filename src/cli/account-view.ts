import type { Account } from '../users/accounts.ts'
import { type Paint, pairs, printable } from './terminal.ts'
import { when } from './times.ts'

/** The state of an account in one word, for a table. */
export function stateOf(user: Account, paint: Paint): string {
  if (user.disabledAt) return paint('red', 'disabled')
  if (user.passwordDisabled) return paint('yellow', 'locked')
  return user.hasPassword ? paint('green', 'active') : 'no password'
}

/** What is going on with an account. */
interface Activity {
  /** Until when sign-ins are refused after too many failures. */
  heldOff: Date | undefined
  sessions: number
  lastUsed: Date | null
}

export function describe(user: Account, paint: Paint, now: Date, activity?: Activity): string {
  const none = paint('dim', 'none')
  const lines: [string, string][] = [
    ['id', user.id],
    ['state', user.disabledAt ? `${stateOf(user, paint)} since ${when(user.disabledAt, now)}` : stateOf(user, paint)],
    ['address', user.emailVerified ? 'verified' : 'not verified'],
    ['roles', user.roles.join(', ') || none],
    ['claims', Object.keys(user.claims).length === 0 ? none : printable(JSON.stringify(user.claims))],
    ['password', passwordOf(user)],
    ['created', when(user.createdAt, now)],
  ]
  if (activity) {
    const { heldOff, sessions, lastUsed } = activity
    if (heldOff)
      lines.push(['sign-in', `refused until ${when(heldOff, now)}, after failures; “users enable” forgets them`])
    lines.push(['sessions', lastUsed ? `${sessions} live, last used ${when(lastUsed, now)}` : none])
  }
  return pairs(lines, paint)
}

function passwordOf({ hasPassword, passwordDisabled }: Account): string {
  if (passwordDisabled)
    return 'refused, after too many failures or since a change of address was taken back, until “users enable” or “users password”'
  return hasPassword ? 'set' : 'none: nobody can sign in with one'
}

export function toJson(user: Account) {
  return {
    id: user.id,
    email: user.email,
    email_verified: user.emailVerified,
    roles: user.roles,
    claims: user.claims,
    has_password: user.hasPassword,
    password_disabled: user.passwordDisabled,
    disabled_at: user.disabledAt,
    created_at: user.createdAt,
  }
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
