import { record } from '../../audit/audit.ts'
import type { Db } from '../../db/schema.ts'
import { Problem } from '../../errors.ts'
import type { Metrics } from '../../metrics.ts'
import type { Operation } from '../../operation.ts'
import { BACKOFF_STARTS } from '../attempts.ts'
import { SPRAY_DETECTED } from '../sprays.ts'
import { type Proof } from './proof.ts'

/** Records what the failure triggered, then refuses. The answer depends only on the counter, not on the cause. */
export async function refuse(
  deps: { db: Db; metrics: Metrics },
  operation: Operation,
  identifier: string,
  proof: Exclude<Proof<never>, { kind: 'proven' }>,
): Promise<never> {
  if (proof.kind === 'held_off') {
    deps.metrics.throttled.inc({ policy: 'account' })
    throw new Problem('too_many_requests', {
      detail: 'Too many failed attempts for this account.',
      reason: 'backoff',
      retryAfter: proof.retryAfter,
    })
  }
  const { failures, reason } = proof
  const byRule: Operation = { ...operation, actor: 'server' }
  if (failures === BACKOFF_STARTS) {
    const about = { userId: proof.user?.id ?? null, details: { identifier, failures } }
    await record(deps.db, byRule, { type: 'login.backoff_started', outcome: 'success', ...about })
  }
  if (proof.spray) {
    deps.metrics.sprays.inc()
    const details = { accounts: SPRAY_DETECTED }
    await record(deps.db, byRule, { type: 'login.spray_detected', outcome: 'success', details })
  }
  throw new Problem('invalid_credentials', { reason })
}
