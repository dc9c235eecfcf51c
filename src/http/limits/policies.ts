import type { Config } from '../../config/config.ts'
import { HOUR, MINUTE } from '../../durations.ts'

/** The limits that routes name in `app.ts`. All are of the client's address. */
export type LimitName = 'login' | 'register' | 'forgot' | 'refresh' | 'logout' | 'account'

export interface Policy {
  /** The name of the counter in the database and the label of the metric. */
  name: `${string}_per_${'minute' | 'hour'}`
  /** What refusals call it; without it, they do not tell that it exists. */
  stated?: `${string}-ip${'' | '-hour' | '-prefix'}`
  /** Requests per window and key. */
  limit: number
  /** What is left of the limit where a spray comes from the prefix of the address. */
  sprayed?: number
  /** A limit of all addresses of a prefix together, only where a spray comes from it. */
  of?: 'prefix'
  windowMs: number
  /** Units taken from the shared counter at a time, at least 1. */
  lease: number
}

/** How many times smaller the budget of a network is from which somebody tries one password on many accounts. */
const SHRINKAGE = 10

export type LimitConfig = Pick<Config, Extract<keyof Config, `RATE_LIMIT_${string}`> | 'PROCESSES'>

/** What each limit counts, in the order in which it is asked: what the first refuses does not count for the second. */
export function policiesOf(config: LimitConfig): Record<LimitName, Policy[]> {
  return {
    login: [
      { ...shrinking(perMinute('login', config.RATE_LIMIT_LOGIN_PER_MINUTE)), stated: 'login-ip' },
      { ...shrinking(perHour('login', config.RATE_LIMIT_LOGIN_PER_HOUR)), stated: 'login-ip-hour' },
      // A tenth for each of 256 addresses, or of 65,536 networks of IPv6, would still be a lot. As much as one address
      // has otherwise: the others of the prefix can sign in unless ten of its addresses are the attacker's.
      {
        ...perMinute('login_prefix', config.RATE_LIMIT_LOGIN_PER_MINUTE),
        stated: 'login-ip-prefix',
        of: 'prefix',
      },
    ],
    register: [{ ...perHour('register', config.RATE_LIMIT_REGISTER_PER_HOUR), stated: 'register-ip' }],
    forgot: [{ ...perHour('forgot', config.RATE_LIMIT_FORGOT_PER_HOUR), stated: 'forgot-ip' }],
    // Counted in leases, because a refresh is one round trip and must not need a second one to be counted.
    refresh: [{ ...leased('refresh', config.RATE_LIMIT_REFRESH_PER_MINUTE, config), stated: 'refresh-ip' }],
    logout: [{ ...leased('logout', config.RATE_LIMIT_LOGOUT_PER_MINUTE, config), stated: 'logout-ip' }],
    account: [{ ...leased('account', config.RATE_LIMIT_ACCOUNT_PER_MINUTE, config), stated: 'account-ip' }],
  }
}

export function perMinute(name: string, limit: number): Policy {
  return { name: `${name}_per_minute`, limit, windowMs: MINUTE, lease: 1 }
}

/**
 * A twentieth of the limit is taken at a time, by all processes of a server together: if each of 32 took as much, the first
 * twenty would have it all, and whoever comes to another one would be refused.
 */
export function leased(name: string, limit: number, { PROCESSES }: Pick<Config, 'PROCESSES'>): Policy {
  return { ...perMinute(name, limit), lease: Math.max(1, Math.floor(limit / 20 / PROCESSES)) }
}

function shrinking(policy: Policy): Policy {
  return { ...policy, sprayed: Math.max(1, Math.floor(policy.limit / SHRINKAGE)) }
}

function perHour(name: string, limit: number): Policy {
  return { name: `${name}_per_hour`, limit, windowMs: HOUR, lease: 1 }
}
