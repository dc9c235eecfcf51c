import { record } from '../audit/audit.ts'
import type { Tally } from '../audit/tally.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import { identify } from '../credentials/attempts.ts'
import type { PasswordHasher } from '../credentials/passwords/hasher.ts'
import { checkNewPassword } from '../credentials/passwords/policy.ts'
import { prove } from '../credentials/passwords/proof.ts'
import { refuse } from '../credentials/passwords/refusal.ts'
import type { Db } from '../db/schema.ts'
import type { RequestFacts } from '../facts.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { UserPrincipal } from '../principal.ts'
import { endAll } from '../sessions/end.ts'

/**
 * Changes the password of whoever is signed in and knows the present one, and ends all other sessions. Guesses count as
 * failed sign-ins do, so a stolen access token is no way around the back-off.
 * @throws Problem password_*; invalid_credentials; too_many_requests; overloaded; unavailable.
 */
export async function changePassword(
  deps: {
    db: Db
    clock: Clock
    config: Config
    hasher: PasswordHasher
    serverKeys: KeyList
    metrics: Metrics
    log: Log
    tally: Tally
  },
  principal: UserPrincipal,
  input: { currentPassword: string; newPassword: string },
  facts: RequestFacts,
): Promise<void> {
  const { id, email } = principal.subject
  checkNewPassword(deps.config, email, input.newPassword)
  const now = deps.clock()
  const proof = await prove(
    deps,
    now,
    { email, id, password: input.currentPassword },
    {
      replaceHash: () => deps.hasher.hash(input.newPassword),
      commit: async (tx) => {
        await endAll(tx, now, {
          userId: id,
          cause: 'password_changed',
          actor: 'user',
          facts,
          except: principal.sessionId,
        })
        const about = { userId: id, familyId: principal.sessionId, clientId: principal.clientId }
        await record(tx, now, 'user', { type: 'password.changed', outcome: 'success', ...about }, facts)
      },
    },
  )
  if (proof.kind === 'proven') return

  const reason = proof.kind === 'held_off' ? 'backoff' : 'wrong_password'
  const about = { userId: id, familyId: principal.sessionId, clientId: principal.clientId }
  await deps.tally.add(now, 'user', { type: 'password.changed', outcome: 'failure', reason, ...about }, facts)
  await refuse(deps, now, identify(deps.serverKeys, email), proof, facts)
}
