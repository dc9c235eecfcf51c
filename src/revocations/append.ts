import type { Bell } from '../bell.ts'
import { afterCommit } from '../db/after-commit.ts'
import type { RevocationInitiator, Tx } from '../db/schema.ts'
import type { RevokeKey } from '../keys/changes.ts'
import type { Actor, Operation } from '../operation.ts'
import { insertRevocations } from './queries.ts'
import type { Revocation } from './revocation.ts'

export interface AppendDeps {
  revocationBell: Bell
}

/**
 * Writes down what is revoked, in the transaction that revokes it, so that neither exists without the other. Verifiers hear of it
 * once it is committed and numbered.
 */
export async function append(
  tx: Tx,
  { revocationBell }: AppendDeps,
  { now, actor }: Operation,
  revocations: readonly Revocation[],
): Promise<void> {
  if (revocations.length === 0) return
  await insertRevocations(tx, now, initiatorOf(actor), revocations)
  afterCommit(tx, revocationBell.ring)
}

/** The words of CAEP 1.0 §2. */
function initiatorOf(actor: Actor): RevocationInitiator {
  if (actor === 'server') return 'policy'
  return actor.startsWith('operator:') ? 'admin' : 'user'
}

/** For the signing keys, which know nothing of this room. */
export function keyRevoker(deps: AppendDeps): RevokeKey {
  return (tx, operation, kid) => append(tx, deps, operation, [{ kind: 'key', kid }])
}
