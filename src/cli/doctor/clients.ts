import { explicitPages } from '../../clients/clients.ts'
import type { ClientRecord } from '../../clients/list.ts'
import { provesBySecret } from '../../clients/secrets.ts'
import type { Config } from '../../config/config.ts'
import { DAY } from '../../durations.ts'
import { audienceWarnings } from '../audiences.ts'
import { printable } from '../terminal.ts'
import { when } from '../times.ts'
import { type Finding, fine, unsure } from './finding.ts'

const CHECK = 'clients'
const SOON_MS = 30 * DAY

/** Of the clients that operators registered and have not disabled. Where there are none there is nothing to be said. */
export function judgeClients(
  clients: readonly ClientRecord[],
  now: Date,
  config: Pick<Config, 'ISSUER' | 'ALLOWED_ORIGINS' | 'NATIVE_ORIGINS' | 'AUDIENCE'>,
): Finding[] {
  const own = clients.filter(({ builtIn, disabledAt }) => !builtIn && !disabledAt)
  if (own.length === 0) return []
  const findings = own.flatMap((client) => [
    ...secretFindings(client, now),
    ...clashFindings(client, config),
    ...audienceWarnings(client, clients, config).map((warning) => unsure(CHECK, warning, remedyOf(client))),
  ])
  return findings.length > 0 ? findings : [fine(CHECK, `${own.length} registered; no secret expires soon`)]
}

function secretFindings({ id, name, auth, secrets }: ClientRecord, now: Date): Finding[] {
  if (!auth || !provesBySecret(auth)) return []
  const last = Math.max(...secrets.map(({ expiresAt }) => expiresAt.getTime()))
  if (last > now.getTime() + SOON_MS) return []
  const message =
    last > now.getTime()
      ? `the last secret of “${printable(name)}” expires ${when(new Date(last), now)}`
      : `every secret of “${printable(name)}” has expired: it gets no token`
  return [unsure(CHECK, message, `claviger clients rotate-secret ${id}`)]
}

function remedyOf({ id }: ClientRecord): string {
  return `list it in AUDIENCE; or claviger clients remove ${id}, and add it for the audience of the tokens that it checks`
}

/** Refused where clients are registered; settings may have changed since. */
function clashFindings(
  { id, name, type, origins }: ClientRecord,
  config: Pick<Config, 'ISSUER' | 'ALLOWED_ORIGINS' | 'NATIVE_ORIGINS'>,
): Finding[] {
  const others = type === 'native' ? explicitPages(config) : config.NATIVE_ORIGINS
  const clash = origins?.find((origin) => others.includes(origin))
  if (clash === undefined) return []
  const message = `${clash} is an origin of “${printable(name)}” and of a built-in client of the other kind: its scripts could read refresh tokens`
  return [unsure(CHECK, message, `take it out of the settings, or claviger clients remove ${id}`)]
}
