import { ACCOUNT_SCOPE } from '../../clients/clients.ts'
import type { Clock } from '../../clock.ts'
import type { Config } from '../../config/config.ts'
import type { KeyList } from '../../config/secrets.ts'
import { Problem } from '../../errors.ts'
import type { Keyring } from '../../keys/keyring.ts'
import type { Operation } from '../../operation.ts'
import type { Semaphore } from '../../semaphore.ts'
import { createEnding } from '../../sessions/ending.ts'
import { authenticateToken } from '../../tokens/refresh.ts'
import { verifyAccessToken } from '../../tokens/verify.ts'

/**
 * Ends the session of a token for the client that it was issued to (RFC 7009 §2.1). A token that is unknown, expired or
 * of an ended session is revoked already (§2.2).
 * @throws Problem `invalid_grant` for a token of another client, whose session goes on; `unsupported_token_type` for one
 * that has no session to end.
 */
export type Revoke = (operation: Operation, input: Asked) => Promise<void>

interface Asked {
  clientId: string
  token: string
  /** Of the caller. */
  network: string
}

type RevokeDeps = Parameters<typeof createEnding>[0] & {
  clock: Clock
  config: Pick<Config, 'ISSUER'>
  serverKeys: KeyList
  keyring: Keyring
}

export function createRevoke(deps: RevokeDeps, semaphore: Pick<Semaphore, 'run'>): Revoke {
  const end = createEnding(deps, semaphore)
  const cause = 'revoked_by_client'

  return async (operation, { clientId, token: text, network }) => {
    const token = authenticateToken(deps.serverKeys, text)
    if (token) {
      // Nobody but the browser has a token of a cookie: one that comes in a form was copied out of it.
      const done = await end(operation, { family: token.family, clientId, delivery: 'body', cause, network })
      if (done !== 'ended') throw new Problem('invalid_grant', { reason: done })
      return
    }
    const verified = await verifyAccessToken(deps.keyring, text, deps.config.ISSUER, operation.now)
    if (verified.kind === 'refused') return
    const { client_id: issuedTo, sid, scope } = verified.claims
    if (issuedTo !== clientId) throw new Problem('invalid_grant', { reason: 'wrong_client' })
    if (sid === undefined) throw new Problem('unsupported_token_type', { detail: NO_SESSION })
    // Every service that a token is sent to knows it, and the id of a public client is no secret. Without the scope it
    // may not touch the account, so it may not end the session either.
    if (!scope.split(' ').includes(ACCOUNT_SCOPE)) throw new Problem('unsupported_token_type', { detail: NO_ACCOUNT })
    await end(operation, { family: sid, clientId, cause, network })
  }
}

const NO_SESSION = 'The access token of a service has no session to end.'
const NO_ACCOUNT = 'An access token without the scope account ends no session.'
