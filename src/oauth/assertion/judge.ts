import { createHash } from 'node:crypto'
import type { ServiceClient } from '../../clients/service.ts'
import type { Config } from '../../config/config.ts'
import type { Db } from '../../db/schema.ts'
import type { Reason } from '../../errors.ts'
import { type Assertion, isSignedBy, readAssertion } from './assertion.ts'
import { chooseKey, usableKeys, type VerifyingKey } from './keys.ts'
import type { FindPublishedKey } from './published-keys.ts'
import { useOnce } from './queries.ts'
import { faultOfOwn, faultOfWorkload } from './rules.ts'

/** Why an assertion proves nothing; `detail` is for the log of the operator who set the client up. */
export type AssertionRefusal =
  | { reason: 'wrong_assertion'; detail: Reason }
  | { reason: 'replayed'; detail?: undefined }
  | { reason: 'wrong_method'; detail?: undefined }

export interface AssertionDeps {
  db: Db
  config: Pick<Config, 'ISSUER'>
  findPublishedKey: FindPublishedKey
}

/**
 * Judges whether a JWT proves a client. What needs neither a key nor a row comes first: nobody has us ask for keys without
 * knowing what the client's own tokens say.
 * @returns undefined if it does.
 * @throws KeysUnknown
 */
export async function faultOfAssertion(
  deps: AssertionDeps,
  now: Date,
  client: ServiceClient,
  text: string,
): Promise<AssertionRefusal | undefined> {
  const { auth } = client
  if (auth.method !== 'private_key_jwt' && auth.method !== 'workload') return { reason: 'wrong_method' }
  const assertion = readAssertion(text)
  if (!assertion) return wrong('header')
  const moment = { issuer: deps.config.ISSUER, now }
  const { claims } = assertion
  const fault =
    auth.method === 'workload' ? faultOfWorkload(claims, auth, moment) : faultOfOwn(claims, client.id, moment)
  if (fault) return wrong(fault)
  const key = await keyOf(deps, client, assertion)
  if (!key) return wrong('kid')
  if (!(await isSignedBy(assertion, key))) return wrong('signature')
  // What an issuer signs for a workload lies in a file that the workload sends again and again.
  if (auth.method === 'workload') return undefined
  const { jti, exp } = claims as { jti: string; exp: number }
  const jtiHash = createHash('sha256').update(jti).digest()
  const isFirst = await useOnce(deps.db, { clientId: client.id, jtiHash, expiresAt: new Date(exp * 1000) })
  return isFirst ? undefined : { reason: 'replayed' }
}

async function keyOf(
  { findPublishedKey }: AssertionDeps,
  { auth }: ServiceClient,
  { header }: Assertion,
): Promise<VerifyingKey | undefined> {
  if (auth.method === 'private_key_jwt' && auth.jwks) return chooseKey(usableKeys(auth.jwks) ?? [], header)
  if (auth.method === 'private_key_jwt' && auth.jwksUri)
    return await findPublishedKey({ jwksUri: auth.jwksUri }, header)
  if (auth.method !== 'workload') return undefined
  const { issuer, jwksUri } = auth
  return await findPublishedKey(jwksUri === undefined ? { issuer } : { jwksUri }, header)
}

function wrong(detail: Reason): AssertionRefusal {
  return { reason: 'wrong_assertion', detail }
}
