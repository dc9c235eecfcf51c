import type { Tally } from '../audit/tally.ts'
import type { Client } from '../clients/clients.ts'
import { grantFor } from '../clients/grants.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import { identify } from '../credentials/attempts.ts'
import { readDevices, rememberDevice } from '../credentials/devices.ts'
import type { PasswordHasher } from '../credentials/passwords/hasher.ts'
import { prove } from '../credentials/passwords/proof.ts'
import { refuse } from '../credentials/passwords/refusal.ts'
import type { Db } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import { SECOND } from '../durations.ts'
import { Problem } from '../errors.ts'
import type { Keyring } from '../keys/keyring.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Operation } from '../operation.ts'
import type { NoticeDeps } from '../outbox/mail/notices.ts'
import type { AppendDeps } from '../revocations/append.ts'
import { expectTokenToFit, type Issued, issue } from '../sessions/issue.ts'
import { startSession } from '../sessions/start.ts'
import { DEVICE_LIFETIME } from '../tokens/device.ts'
import { normaliseEmail } from '../users/email.ts'
import { isUnproved } from '../users/prove-address.ts'
import { noteDevice } from './note-device.ts'

interface SignInInput {
  email: string
  password: string
  client: Client
  /** Whether a browser keeps the session when it is closed. Native clients always keep it. */
  remember: boolean
  scope?: string | undefined
  audience?: string | string[] | undefined
  /** The refresh token in the browser's cookie. It proves nothing here; its session ends. */
  replaces?: string | undefined
  /** Thumbprint of the key that the session is to be bound to (RFC 7638), if any. */
  dpopJkt?: string | undefined
  /** Device tokens that came along, newest first, genuine or not. */
  devices: readonly string[]
}

/** The tokens of the new session, and what makes the device known from then on. */
export interface SignedIn extends Issued {
  devices: { tokens: [string, ...string[]]; keepSeconds: number }
}

/**
 * Starts a session for somebody who knows the password. Every refusal gets the same answer after the same work, so that
 * an attacker does not learn which accounts exist.
 * @throws Problem invalid_email, invalid_scope, invalid_target; invalid_credentials, email_unverified; too_many_requests;
 * token_too_large; overloaded; unavailable.
 */
export async function signIn(
  deps: NoticeDeps &
    AppendDeps & {
      clock: Clock
      db: Db
      hasher: PasswordHasher
      keyring: Keyring
      metrics: Metrics
      log: Log
      tally: Tally
    },
  operation: Operation,
  input: SignInInput,
): Promise<SignedIn> {
  const { client } = input
  const { now } = operation
  const email = normaliseEmail(input.email)
  const grant = grantFor(client, input)
  // Checked first, because a session without an access token would be useless.
  if (!deps.keyring.ready()) throw new Problem('unavailable', { reason: 'no signing key', retryAfter: 5 })
  // In a flood, most sign-ins are refused here, before they take time of the database that refreshes need.
  deps.hasher.expectRoom()

  const known = readDevices(deps.serverKeys, now, input.devices)
  const proof = await prove(
    deps,
    operation,
    { email, password: input.password, address: operation.facts.address, devices: known },
    {
      replaceHash: (found) => rehash(deps, found, input.password),
      commit: async (tx, subject) => {
        if (mustVerifyFirst(deps.config, subject)) return { unverified: subject.id }
        const { remember, replaces, dpopJkt = null } = input
        const session = { subject, client, grant, remember, replaces, dpopJkt, amr: ['pwd'] }
        const started = await startSession(deps, tx, operation, session)
        const { id: familyId, clientId, rotatedAt: startedAt } = started.family
        expectTokenToFit(deps, startedAt, started)
        const isKnown = known.some(({ userId }) => userId === subject.id)
        await noteDevice(tx, deps, { ...operation, now: startedAt }, { user: subject, isKnown, familyId, clientId })
        return started
      },
    },
  )
  const identifier = identify(deps.serverKeys, email)
  if (proof.kind === 'proven') {
    if ('unverified' in proof.value) {
      deps.metrics.logins.inc({ outcome: 'failure' })
      const about = { userId: proof.value.unverified, clientId: client.id, details: { identifier } }
      await deps.tally.add(operation, { type: 'login', outcome: 'failure', reason: 'email_unverified', ...about })
      throw new Problem('email_unverified')
    }
    deps.metrics.logins.inc({ outcome: 'success' })
    const tokens = rememberDevice(deps.serverKeys, now, known, proof.value.subject.id)
    return {
      ...(await issue(deps, proof.value.family.rotatedAt, proof.value)),
      devices: { tokens, keepSeconds: DEVICE_LIFETIME / SECOND },
    }
  }

  deps.metrics.logins.inc({ outcome: proof.kind === 'held_off' ? 'backoff' : 'failure' })
  const details = proof.kind === 'refused' ? { identifier, failures: proof.failures } : { identifier }
  const about = { userId: proof.user?.id ?? null, clientId: client.id }
  const failed = { type: 'login', outcome: 'failure', reason: proof.reason, details, ...about } as const
  await deps.tally.add(operation, failed)
  return await refuse(deps, operation, identifier, proof)
}

/**
 * Whether somebody who knows the password is still nobody: it may be a stranger’s who registered with the address. Accounts
 * from before addresses had to be verified, and those of operators, may sign in.
 */
function mustVerifyFirst(config: Config, user: User): boolean {
  return config.EMAIL_VERIFICATION === 'required' && isUnproved(user)
}

/** Makes a new hash if the old one comes from weaker settings. If that fails, the sign-in succeeds all the same. */
async function rehash(
  deps: { hasher: PasswordHasher; log: Log },
  user: User,
  password: string,
): Promise<string | undefined> {
  if (user.passwordHash === null || !deps.hasher.needsRehash(user.passwordHash, password)) return undefined
  try {
    return await deps.hasher.hash(password)
  } catch (err) {
    deps.log.warn({ err }, 'a weak password hash was not renewed; the next sign-in tries again')
    return undefined
  }
}
