import { findServiceClient, type ServiceClient } from '../clients/service.ts'
import type { Config } from '../config/config.ts'
import type { Db } from '../db/schema.ts'
import { isRevoked } from '../revocations/subject.ts'
import type { ServiceClaims } from '../tokens/claims.ts'

/**
 * The service that a token was issued to, if the token is still good: a service that was disabled may have been enabled again, and its
 * tokens of before stay revoked.
 */
export async function findServiceOf(
  deps: { db: Db; config: Config },
  now: Date,
  claims: Pick<ServiceClaims, 'client_id' | 'sub' | 'iat'>,
): Promise<ServiceClient | undefined> {
  const client = await findServiceClient(deps, now, claims.client_id)
  return client && !(await isRevoked(deps, claims)) ? client : undefined
}
