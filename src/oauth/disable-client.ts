import { removeClient, setClientEnabled } from '../clients/change.ts'
import type { ClientRecord } from '../clients/list.ts'
import { ClientRefused } from '../clients/refused.ts'
import type { Clock } from '../clock.ts'
import { transact } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import { type AppendDeps, append } from '../revocations/append.ts'
import { rememberTokensOf } from '../revocations/departing.ts'
import { isRevokedAgain, outlastRevocation } from '../revocations/subject.ts'
import { endSessionsOfClient } from '../sessions/end-client.ts'

type DisableDeps = AppendDeps & { db: Db; clock: Clock }
type Named = Pick<ClientRecord, 'id' | 'type'>

/**
 * Disables a client and ends what it was given. From the commit of the first transaction on, nobody signs in with it and no service
 * gets a token; what a crash after that leaves is ended by the same command again, and sessions also before the client is enabled.
 * @returns how many sessions ended.
 */
export async function disableClient(deps: DisableDeps, operation: Operation, { id, type }: Named): Promise<number> {
  if (type !== 'service') {
    await setClientEnabled(deps, operation, { id, enabled: false })
    return await endSessionsOfClient(deps, operation, id)
  }
  const revoke = (tx: Tx, now: Date) => append(tx, deps, { ...operation, now }, [{ kind: 'subject', sub: id }])
  await setClientEnabled(deps, operation, { id, enabled: false }, (tx) => revoke(tx, operation.now))
  // Whoever read the client before that commit may have issued a token since the moment that the first entry names.
  await transact(deps.db, (tx) => revoke(tx, deps.clock()))
  return 0
}

/**
 * @returns whether it was disabled.
 * @throws ClientRefused if somebody has disabled a service since this began: they were told that it holds.
 */
export async function enableClient(
  deps: DisableDeps,
  operation: Operation,
  { id, type, disabledAt }: ClientRecord,
): Promise<boolean> {
  if (!disabledAt) return false
  if (type !== 'service') await endSessionsOfClient(deps, operation, id)
  const outlasted = await outlastRevocation(deps, id)
  return await setClientEnabled(deps, { ...operation, now: deps.clock() }, { id, enabled: true }, async (tx) => {
    if (await isRevokedAgain(tx, id, outlasted))
      throw new ClientRefused(
        'conflict',
        'the client was disabled again meanwhile, and stays so: the same command enables it',
      )
  })
}

/**
 * Disables a client and deletes it.
 * @returns how many sessions ended.
 * @throws ClientRefused if somebody has enabled or removed it meanwhile.
 */
export async function disableAndRemove(deps: DisableDeps, operation: Operation, client: Named): Promise<number> {
  const ended = await disableClient(deps, operation, client)
  await removeClient(deps, operation, client.id, (tx) => rememberTokensOf(tx, deps.clock(), client.id))
  return ended
}
