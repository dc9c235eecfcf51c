import { record } from '../audit/audit.ts'
import type { Tally } from '../audit/tally.ts'
import { identify } from '../credentials/attempts.ts'
import type { PasswordHasher } from '../credentials/passwords/hasher.ts'
import { checkNewPassword } from '../credentials/passwords/policy.ts'
import { prove } from '../credentials/passwords/proof.ts'
import { refuse } from '../credentials/passwords/refusal.ts'
import { voidByPassword } from '../credentials/passwords/reset.ts'
import type { Db } from '../db/schema.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Operation } from '../operation.ts'
import { type NoticeDeps, tellOwner } from '../outbox/mail/notices.ts'
import type { UserPrincipal } from '../principal.ts'
import { type AppendDeps, append } from '../revocations/append.ts'
import { endAll } from '../sessions/end.ts'

/**
 * Changes the password of a user who is signed in and knows the present one, and ends all other sessions. Wrong guesses
 * count as failed sign-ins, so a thief cannot use a stolen access token to get around the back-off.
 * @throws Problem password_*; invalid_credentials; too_many_requests; overloaded; unavailable.
 */
export async function changePassword(
  deps: NoticeDeps &
    AppendDeps & {
      db: Db
      hasher: PasswordHasher
      metrics: Metrics
      log: Log
      tally: Tally
    },
  operation: Operation,
  principal: Pick<UserPrincipal, 'sessionId' | 'clientId'> & {
    subject: Pick<UserPrincipal['subject'], 'id' | 'email'>
  },
  input: { currentPassword: string; newPassword: string },
): Promise<void> {
  const { id, email } = principal.subject
  const about = { userId: id, familyId: principal.sessionId, clientId: principal.clientId }
  checkNewPassword(deps.config, email, input.newPassword)
  const proof = await prove(
    deps,
    operation,
    { email, id, password: input.currentPassword, address: null },
    {
      replaceHash: () => deps.hasher.hash(input.newPassword),
      commit: async (tx) => {
        await voidByPassword(tx, id)
        await append(tx, deps, operation, [{ kind: 'credential', userId: id }])
        await endAll(tx, deps, operation, { userId: id, cause: 'password_changed', except: principal.sessionId })
        await record(tx, operation, { type: 'password.changed', outcome: 'success', ...about })
        await tellOwner(tx, deps, operation, { userId: id, cause: 'password-changed' })
      },
    },
  )
  if (proof.kind === 'proven') return

  const reason = proof.kind === 'held_off' ? 'backoff' : 'wrong_password'
  await deps.tally.add(operation, { type: 'password.changed', outcome: 'failure', reason, ...about })
  await refuse(deps, operation, identify(deps.serverKeys, email), proof)
}
