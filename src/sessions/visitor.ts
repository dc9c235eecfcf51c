import type { Clock } from '../clock.ts'
import type { KeyList } from '../config/secrets.ts'
import type { Db } from '../db/schema.ts'
import { authenticateToken } from '../tokens/refresh.ts'
import { findFamily, type Subject } from './queries.ts'
import { decide, type RotationPolicy } from './rotation.ts'

/** Somebody whose browser shows a page of ours and holds the refresh token of a live session. */
export interface Visitor {
  subject: Subject
  sessionId: string
  clientId: string
  /** Thumbprint of the key that the session is bound to, if it is. */
  dpopJkt: string | null
}

/**
 * Finds out who has the refresh token in the cookie of a client, without using it: nothing is rotated, and a token that would end its
 * family as reused ends nothing here, because a page is also fetched by prefetching browsers and by the back button.
 * @returns undefined unless a refresh with it, and with the key of its session, would succeed.
 */
export async function findVisitor(
  deps: { db: Db; clock: Clock; serverKeys: KeyList; config: RotationPolicy },
  { text, clientId }: { text: string; clientId: string },
): Promise<Visitor | undefined> {
  const token = authenticateToken(deps.serverKeys, text)
  if (!token) return undefined
  const now = deps.clock()
  const family = await findFamily(deps.db, token.family)
  const { generation, hash } = token
  // Pages hand out no token, so the key is not asked for: a form cannot prove it.
  const dpopJkt = family?.state.dpopJkt ?? null
  const proof = dpopJkt === null ? null : { jkt: dpopJkt, fresh: false }
  const presented = { generation, hash, keyHash: null, delivery: 'cookie', clientId, proof } as const
  const verdict = decide(presented, family?.state, { arrivedAt: now, since: now, now }, deps.config)
  if (!family || (verdict.kind !== 'rotate' && verdict.kind !== 'retry')) return undefined
  return { subject: family.subject, sessionId: token.family, clientId: family.state.clientId, dpopJkt }
}
