import type { KeyList } from '../config/secrets.ts'
import type { Delivery } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import type { Semaphore } from '../semaphore.ts'
import { authenticateToken } from '../tokens/refresh.ts'
import { createEnding } from './ending.ts'

/** Ends the family of a refresh token of any generation. Succeeds if there is nothing to end (RFC 7009 §2.2). */
export type Logout = (operation: Operation, input: Presented) => Promise<void>

interface Presented {
  token: string | undefined
  delivery: Delivery
  /** Whose token it has to be; undefined where the token alone tells. */
  clientId: string | undefined
  /** Of the caller. */
  network: string
}

type LogoutDeps = Parameters<typeof createEnding>[0] & { serverKeys: KeyList }

export function createLogout(deps: LogoutDeps, semaphore: Pick<Semaphore, 'run'>): Logout {
  const end = createEnding(deps, semaphore)
  return async (operation, { token: text, ...rest }) => {
    const token = text === undefined ? undefined : authenticateToken(deps.serverKeys, text)
    if (token) await end(operation, { family: token.family, cause: 'logout', ...rest })
  }
}
