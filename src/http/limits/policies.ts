import type { Config } from '../../config/config.ts'
import { HOUR, MINUTE } from '../../durations.ts'

/** The limits that routes name in `app.ts`. All are of the client's address. */
export type LimitName = 'login' | 'register' | 'forgot' | 'refresh' | 'logout' | 'account'

export interface Policy {
  /** The name of the counter in the database and the label of the metric. */
  name: `${string}_per_${'minute' | 'hour'}`
  /** What refusals call it; without it, they do not tell that it exists. */
  stated?: `${string}-ip${'' | '-hour'}`
  /** Requests per window and key. */
  limit: number
  windowMs: number
  /** Units taken from the shared counter at a time, at least 1. */
  lease: number
}

export type LimitConfig = Pick<Config, Extract<keyof Config, `RATE_LIMIT_${string}`>>

/** What each limit counts, in the order in which it is asked: what the first refuses does not count for the second. */
export function policiesOf(config: LimitConfig): Record<LimitName, Policy[]> {
  return {
    login: [
      { ...perMinute('login', config.RATE_LIMIT_LOGIN_PER_MINUTE, 1), stated: 'login-ip' },
      { ...perHour('login', config.RATE_LIMIT_LOGIN_PER_HOUR), stated: 'login-ip-hour' },
    ],
    register: [{ ...perHour('register', config.RATE_LIMIT_REGISTER_PER_HOUR), stated: 'register-ip' }],
    forgot: [{ ...perHour('forgot', config.RATE_LIMIT_FORGOT_PER_HOUR), stated: 'forgot-ip' }],
    // Counted in leases, because a refresh is one round trip and must not need a second one to be counted.
    refresh: [{ ...perMinute('refresh', config.RATE_LIMIT_REFRESH_PER_MINUTE), stated: 'refresh-ip' }],
    logout: [{ ...perMinute('logout', config.RATE_LIMIT_LOGOUT_PER_MINUTE), stated: 'logout-ip' }],
    account: [{ ...perMinute('account', config.RATE_LIMIT_ACCOUNT_PER_MINUTE), stated: 'account-ip' }],
  }
}

export function perMinute(name: string, limit: number, lease = Math.max(1, Math.floor(limit / 20))): Policy {
  return { name: `${name}_per_minute`, limit, windowMs: MINUTE, lease }
}

function perHour(name: string, limit: number): Policy {
  return { name: `${name}_per_hour`, limit, windowMs: HOUR, lease: 1 }
}
