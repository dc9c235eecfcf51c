import type { Config } from './config.ts'
import { cookieWarnings } from './cookie-warnings.ts'
import { linksWithoutLookup, OPEN_LINK } from './database-link.ts'
import type { DatabaseTarget } from './database-target.ts'
import { isLoopback } from './networks.ts'
import { type Fault, itemsOf } from './settings.ts'

/** Faults of two settings that contradict each other. */
export function acrossSettings(config: Config): (Fault & { other: string })[] {
  const faults: (Fault & { other: string })[] = []
  type Seconds = Extract<keyof Config, `${string}_SECONDS`>
  const mustNotExceed = (name: Seconds, other: Seconds) => {
    if (config[name] > config[other]) faults.push({ name, other, message: `must not exceed ${other}` })
  }
  mustNotExceed('SESSION_IDLE_SECONDS', 'SESSION_MAX_SECONDS')
  mustNotExceed('REMEMBER_IDLE_SECONDS', 'REMEMBER_MAX_SECONDS')
  if (config.PORT !== 0 && config.PORT === config.METRICS_PORT)
    faults.push({ name: 'METRICS_PORT', other: 'PORT', message: 'must differ from PORT' })
  if (config.mail === 'smtp' && config.MAIL_FROM === undefined)
    faults.push({ name: 'MAIL_FROM', other: 'SMTP_URL', message: 'must be set where SMTP_URL is' })
  if (config.mail === 'off' && config.EMAIL_VERIFICATION === 'required') {
    const message = 'must be off where SMTP_URL is not set: nobody could prove an address'
    faults.push({ name: 'EMAIL_VERIFICATION', other: 'SMTP_URL', message })
  }
  if (config.mail === 'smtp' && config.PAGES === 'off' && config.APP_URL === undefined) {
    const message = 'must be set where PAGES is off: links in mails would lead nowhere'
    faults.push({ name: 'APP_URL', other: 'PAGES', message })
  }
  return faults
}

/**
 * What is allowed in development but not in production. Each message says why. Judges the text of a setting, so that
 * another fault of the same setting hides nothing.
 */
export function insecureInProduction(
  stated: Readonly<Record<string, string | undefined>>,
  database: DatabaseTarget | undefined,
): Fault[] {
  const plain = (name: string) =>
    itemsOf(stated[name] ?? '').flatMap((item, index) => (URL.canParse(item) && isPlainHttp(item) ? [index + 1] : []))
  const faults: Fault[] = []
  const fault = (name: string, message: string) => faults.push({ name, message })
  if (plain('ISSUER').length > 0)
    fault('ISSUER', 'must be https: whoever listens to plain http holds every password and token')
  const pages = plain('ALLOWED_ORIGINS')
  if (pages.length > 0) {
    fault(
      'ALLOWED_ORIGINS',
      `item ${pages.join(', ')}: must be https: anybody on the network path could act as a page of a plain http origin`,
    )
  }
  const views = plain('NATIVE_ORIGINS')
  if (views.length > 0) {
    fault(
      'NATIVE_ORIGINS',
      `item ${views.join(', ')}: must not be plain http: anybody on the network path could act as a page of that origin`,
    )
  }
  if (plain('APP_URL').length > 0)
    fault('APP_URL', 'must be https: whoever listens to plain http could replace the page that takes the token')
  if (database && linksWithoutLookup(database).some(({ kind }) => kind === 'outside')) fault('DATABASE_URL', OPEN_LINK)
  return faults
}

export function warnings(config: Config): string[] {
  const found: string[] = []
  if (config.ACCESS_TOKEN_SECONDS < 60) found.push('ACCESS_TOKEN_SECONDS is below 60: expect many refreshes')
  if (config.ACCESS_TOKEN_SECONDS > 900)
    found.push('ACCESS_TOKEN_SECONDS is above 900: verifiers that work offline accept an ended session that long')
  if (config.REMEMBER_MAX_SECONDS > 30 * 86400)
    found.push('REMEMBER_MAX_SECONDS is above 30 days (NIST SP 800-63B-4 §2.1.3)')
  if (new URL(config.ISSUER).port === '0')
    found.push('PORT is 0 and ISSUER is not set: tokens name an address that leads nowhere. Set ISSUER')
  const connections = config.PROCESSES * config.DATABASE_POOL_SIZE
  if (connections > 90) {
    found.push(
      `PROCESSES × DATABASE_POOL_SIZE is ${connections} connections: PostgreSQL grants 100 to all replicas and commands, unless max_connections says otherwise`,
    )
  }
  if (config.HASH_CONCURRENCY < config.PROCESSES)
    found.push(`HASH_CONCURRENCY is below PROCESSES: each process hashes one password at a time even so`)
  return [...found, ...cookieWarnings(config)]
}

/** Over the network, where anybody on the path can listen and browsers keep no `Secure` cookie. */
export function isPlainHttp(value: string): boolean {
  const url = new URL(value)
  return url.protocol === 'http:' && !isLoopback(url.hostname)
}
