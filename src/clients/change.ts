import { record } from '../audit/audit.ts'
import { transact } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import { addSecret } from './add.ts'
import {
  deleteDisabled,
  deleteSecrets,
  lockClients,
  secretsOf,
  selectClients,
  setChangedAt,
  setDisabledAt,
} from './queries.ts'
import { ClientRefused } from './refused.ts'
import { provesBySecret } from './secrets.ts'
import { authOf } from './service.ts'

/**
 * Disables a client, or enables it again. Its tokens are ended by who calls this.
 * @param along what is to be written in the same transaction, if it changes anything.
 * @returns whether it changed anything.
 */
export async function setClientEnabled(
  deps: { db: Db },
  operation: Operation,
  { id, enabled }: { id: string; enabled: boolean },
  along: (tx: Tx) => Promise<void> = async () => {},
): Promise<boolean> {
  return await transact(deps.db, async (tx) => {
    const changed = await setDisabledAt(tx, operation.now, id, enabled ? null : operation.now)
    if (!changed) return false
    const type = enabled ? 'client.enabled' : 'client.disabled'
    await record(tx, operation, { type, outcome: 'success', clientId: id })
    await along(tx)
    return true
  })
}

/**
 * Deletes a client that is disabled.
 * @param before what is to be written in the same transaction while the client is still there.
 * @throws ClientRefused if it is enabled, or gone.
 */
export async function removeClient(
  deps: { db: Db },
  operation: Operation,
  id: string,
  before: (tx: Tx) => Promise<void> = async () => {},
): Promise<void> {
  await transact(deps.db, async (tx) => {
    await before(tx)
    if (!(await deleteDisabled(tx, id)))
      throw new ClientRefused('conflict', 'the client was enabled or removed meanwhile')
    await record(tx, operation, { type: 'client.removed', outcome: 'success', clientId: id })
  })
}

/**
 * What becomes of the secrets that there are: both may overlap for a while, the oldest of two goes, or all of them as when one has
 * leaked. With `finish` no other is made, and the newest alone counts from then on.
 */
export type SecretRotation = 'overlap' | 'drop-oldest' | 'drop-all' | 'finish'

export interface RotatedSecret {
  /** Undefined if none was made. */
  secret: string | undefined
  /** How many others still count. */
  others: number
}

/**
 * Gives a service another secret. Two count at most. Failures to prove itself are counted anew from then on: whoever rotates
 * because a deployment has failed until it was held off would find the right secret refused as well.
 * @throws ClientRefused if it has none by its registration, or two already.
 */
export async function rotateSecret(
  deps: { db: Db },
  operation: Operation,
  { id, how }: { id: string; how: SecretRotation },
): Promise<RotatedSecret> {
  return await transact(deps.db, async (tx) => {
    await lockClients(tx)
    const [client] = await selectClients(tx, id)
    if (!client) throw new ClientRefused('not_found', 'there is no such client')
    if (client.type !== 'service' || !provesBySecret(authOf(client)))
      throw new ClientRefused('conflict', 'the client does not prove itself by a secret')
    const all = await secretsOf(tx, [id])
    const live = all.filter(({ expiresAt }) => expiresAt > operation.now)
    if (how === 'finish' && live.length === 0)
      throw new ClientRefused('conflict', 'no secret of the client counts any more')
    if (how === 'overlap' && live.length === 2)
      throw new ClientRefused(
        'conflict',
        'two secrets count already: --finish ends the older one, --drop-oldest makes another in its place',
      )
    const kept = live.slice(0, { overlap: 2, 'drop-oldest': 1, 'drop-all': 0, finish: 1 }[how])
    await deleteSecrets(
      tx,
      all.filter((secret) => !kept.includes(secret)).map(({ id: each }) => each),
    )
    const made = how !== 'finish'
    const secret = made ? await addSecret(tx, operation.now, id, kept[0]?.slot === 1 ? 2 : 1) : undefined
    await setChangedAt(tx, operation.now, id)
    const details = { secrets: kept.length + Number(made) }
    await record(tx, operation, { type: 'client.secret_rotated', outcome: 'success', clientId: id, details })
    return { secret, others: made ? kept.length : 0 }
  })
}
