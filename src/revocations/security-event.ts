import type { FeedConfig } from './documents.ts'
import { claimsOf, type Entry, seconds } from './entry.ts'

const CAEP = 'https://schemas.openid.net/secevent/caep/event-type'

/** The claims of a Security Event Token (RFC 8417) with an event of CAEP 1.0, and the entry of the list if there is one. */
export function securityEvent(
  { ISSUER }: FeedConfig,
  entry: Entry,
  { epoch, asOf }: { epoch: string; asOf: Date },
): object {
  const { seq, kind, sid, sub, initiator, revokedAt } = entry
  const facts = { event_timestamp: seconds(revokedAt), initiating_entity: initiator }
  const user = { user: { format: 'iss_sub', iss: ISSUER, sub } }
  const about = {
    session: { ...user, session: { format: 'opaque', id: sid } },
    subject: user,
    credential: user,
    key: { tenant: { format: 'uri', uri: ISSUER } },
    all: { tenant: { format: 'uri', uri: ISSUER } },
  }[kind]
  const events =
    kind === 'credential'
      ? { [`${CAEP}/credential-change`]: { ...facts, credential_type: 'password', change_type: 'update' } }
      : { [`${CAEP}/session-revoked`]: facts }
  return {
    iss: ISSUER,
    iat: seconds(asOf),
    // The same on every replica.
    jti: `${epoch}.${seq}`,
    epoch,
    sub_id: { format: 'complex', ...about },
    events,
    ...(kind === 'credential' ? { seq } : { revocation: claimsOf(entry) }),
  }
}
