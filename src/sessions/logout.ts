import type { RequestFacts, TalliedEvent } from '../audit/audit.ts'
import { transact } from '../db/errors.ts'
import type { Delivery } from '../db/schema.ts'
import type { Deps } from '../deps.ts'
import { authenticateToken } from '../tokens/refresh.ts'
import { endOne } from './end.ts'
import { lockFamily } from './queries.ts'

/** Ends the family of a refresh token, whatever its generation. Silent when there is nothing to end (RFC 7009 §2.2). */
export async function logout(
  deps: Pick<Deps, 'db' | 'clock' | 'serverKeys' | 'tally'>,
  input: { token: string | undefined; delivery: Delivery },
  facts: RequestFacts,
): Promise<void> {
  const token = input.token === undefined ? undefined : authenticateToken(deps.serverKeys, input.token)
  if (!token) return
  const now = deps.clock()
  const refusal = await transact(deps.db, async (tx): Promise<TalliedEvent | undefined> => {
    const family = await lockFamily(tx, token.family)
    if (!family || family.state.endedAt) return undefined
    const about = { userId: family.subject.id, familyId: token.family, clientId: family.state.clientId }
    if (family.state.delivery !== input.delivery) {
      return { type: 'refresh.refused', outcome: 'failure', reason: 'wrong_delivery', ...about }
    }
    await endOne(tx, now, { id: token.family, userId: family.subject.id, cause: 'logout', actor: 'user', facts })
    return undefined
  })
  if (refusal) await deps.tally.add(now, 'anonymous', refusal, facts)
}
