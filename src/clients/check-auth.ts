import type { Config } from '../config/config.ts'
import { issuer as plainUrl } from '../config/values.ts'
import { keySetFaults } from './key-set.ts'
import type { Fault } from './refused.ts'
import type { ServiceAuth, Workload } from './registration.ts'

/** Faults of the way in which a service is to prove itself. */
export function checkAuth(config: Pick<Config, 'ISSUER'>, auth: ServiceAuth): Fault[] {
  if (auth.method === 'workload') return workloadFaults(config, auth)
  if (auth.method !== 'private_key_jwt') return []
  if (auth.jwksUri !== undefined && auth.jwks !== undefined)
    return [{ about: 'jwks', message: 'must not be given beside the place where the keys are published' }]
  return auth.jwks === undefined ? urlFaults('jwksUri', auth.jwksUri) : keySetFaults(auth.jwks)
}

const MOST_CLAIMS = 20
const LONGEST_TEXT = 500
/** They mean the same in every token, and are checked anyway. */
const CHECKED_ANYWAY = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti']

function workloadFaults({ ISSUER }: Pick<Config, 'ISSUER'>, { issuer, subject, claims, jwksUri }: Workload): Fault[] {
  const faults = urlFaults('issuer', issuer, { exact: true })
  if (issuer === ISSUER) faults.push({ about: 'issuer', message: 'must be another one than this' })
  if (!isPlainText(subject))
    faults.push({ about: 'subject', message: `must be text of 1 to ${LONGEST_TEXT} characters` })
  const entries = Object.entries(claims)
  if (entries.length > MOST_CLAIMS) faults.push({ about: 'claims', message: `must be ${MOST_CLAIMS} at most` })
  for (const [name, value] of entries) {
    if (CHECKED_ANYWAY.includes(name)) faults.push({ about: 'claims', message: `${name}: is checked anyway` })
    else if (!isPlainText(name) || !isPlainText(value))
      faults.push({ about: 'claims', message: `${name}: must be text of 1 to ${LONGEST_TEXT} characters` })
  }
  return jwksUri === undefined ? faults : [...faults, ...urlFaults('workloadJwksUri', jwksUri)]
}

function isPlainText(text: string): boolean {
  return text !== '' && text.length <= LONGEST_TEXT && !/\p{Cc}/u.test(text)
}

/**
 * Whoever can change what we read there could act as the service, so it is https.
 * @param options.exact the URL is compared with what tokens say, so it is left as it is.
 */
function urlFaults(about: 'jwksUri' | 'workloadJwksUri' | 'issuer', text: string, { exact = false } = {}): Fault[] {
  const fault = (message: string): Fault[] => [{ about, message: `${text}: ${message}` }]
  if (!URL.canParse(text)) return fault('must be a URL')
  const url = new URL(text)
  if (url.protocol !== 'https:') return fault('must begin with https://')
  if (url.username || url.password) return fault('must not hold a user name or password')
  if (text.includes('#') || (exact && text.includes('?')))
    return fault(`must not have a ${exact ? 'query or ' : ''}fragment`)
  if (text.length > LONGEST_TEXT || /[^\x21-\x7e]/.test(text))
    return fault(`must have ${LONGEST_TEXT} ASCII characters at most`)
  try {
    plainUrl(url.origin)
    return []
  } catch (error) {
    return fault((error as Error).message)
  }
}
