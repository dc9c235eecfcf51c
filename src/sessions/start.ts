import { recording } from '../audit/audit.ts'
import type { Client } from '../clients/clients.ts'
import type { Grant } from '../clients/grants.ts'
import { holdClient } from '../clients/registered.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import type { Tx } from '../db/schema.ts'
import { Problem } from '../errors.ts'
import type { Operation } from '../operation.ts'
import type { AppendDeps } from '../revocations/append.ts'
import { authenticateToken, hashToken, mintFirst } from '../tokens/refresh.ts'
import { endOne } from './end.ts'
import type { Session } from './issue.ts'
import { lockFamily, type Subject } from './queries.ts'
import { insertFamily } from './start-queries.ts'

export interface StartInput {
  subject: Subject
  client: Client
  grant: Grant
  remember: boolean
  amr: string[]
  /** Thumbprint of the key to bind the family to, if any. */
  dpopJkt: string | null
  /** The refresh token in the browser's cookie, whose session is about to be overwritten. */
  replaces?: string | undefined
}

/**
 * Starts a family and records the sign-in, in the caller's transaction. The caller has locked the user, so that no
 * disable, password change or other sign-in of the user can come in between.
 * @throws Problem `invalid_client` for one that has been disabled, though this replica may not know it yet.
 */
export async function startSession(
  deps: AppendDeps & { clock: Clock; config: Config; serverKeys: KeyList },
  tx: Tx,
  asked: Operation,
  input: StartInput,
): Promise<Session> {
  const { config, serverKeys } = deps
  const { subject, client } = input
  const { lifetimes } = client
  const asUser: Operation = { ...asked, actor: `user:${subject.id}` }
  if (!(await holdClient(tx, client))) throw new Problem('invalid_client', { reason: 'client_gone' })
  if (input.replaces) await endReplaced(deps, tx, asUser, { text: input.replaces, client })
  // Not when the request came: the password has been hashed since. Whoever ends the sessions of until then has looked at
  // those that there were, and this one would be left over.
  const now = deps.clock()
  const operation = { ...asUser, now }

  const remember = input.remember || client.delivery === 'body'
  const { token: refreshToken, family: id } = mintFirst(serverKeys)
  const maxSeconds = remember ? lifetimes.rememberMax : lifetimes.sessionMax
  const family = {
    id,
    clientId: client.id,
    delivery: client.delivery,
    remember,
    scope: input.grant.scope,
    audience: input.grant.audience,
    amr: input.amr,
    authTime: now,
    expiresAt: new Date(now.getTime() + maxSeconds * 1000),
    idleSeconds: remember ? lifetimes.rememberIdle : lifetimes.sessionIdle,
    dpopJkt: input.dpopJkt,
  }
  const login = { type: 'login', outcome: 'success', userId: subject.id, familyId: id, clientId: client.id } as const
  const surplusIds = await insertFamily(tx, {
    now,
    family: {
      ...family,
      userId: subject.id,
      currentHash: hashToken(refreshToken),
      userAgent: asked.facts.userAgent,
      address: asked.facts.address,
    },
    event: recording(operation, login),
    keep: config.SESSIONS_PER_USER - 1,
  })
  const byRule: Operation = { ...operation, actor: 'server' }
  for (const surplus of surplusIds) {
    await endOne(tx, deps, byRule, { id: surplus, userId: subject.id, cause: 'too_many_sessions' })
  }
  const { grant } = input
  return {
    family: { ...family, rotatedAt: now },
    subject,
    refreshToken,
    grant,
    accessTokenSeconds: lifetimes.accessToken,
  }
}

/**
 * Ends the session of the cookie that a sign-in is about to overwrite: afterwards its user could no longer sign it out. A
 * token that is not ours, or of another client, is ignored.
 */
async function endReplaced(
  deps: AppendDeps & { serverKeys: KeyList },
  tx: Tx,
  operation: Operation,
  { text, client }: { text: string; client: Client },
): Promise<void> {
  const token = authenticateToken(deps.serverKeys, text)
  const family = token && (await lockFamily(tx, token.family))
  if (!family || family.state.clientId !== client.id || family.state.delivery !== client.delivery) return
  await endOne(tx, deps, operation, { id: family.facts.id, userId: family.subject.id, cause: 'replaced_by_login' })
}
