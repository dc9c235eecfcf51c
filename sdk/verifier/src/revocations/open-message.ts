import { compactVerify } from 'jose'
import { VerificationError } from '../errors.ts'
import { checkSpelling, readKid, readPayload } from '../jws.ts'
import type { KeySource } from '../key-source.ts'

const RS256 = { algorithms: ['RS256'] }

/**
 * Verifies the signature of a message of the feed.
 * @returns its claims.
 * @throws VerificationError
 */
export type OpenMessage = (jws: string, typ: string) => Promise<Record<string, unknown>>

/** @param isWithdrawn tells of keys that the feed itself has named as compromised: these sign nothing any more. */
export function createOpener(
  find: KeySource['find'],
  isWithdrawn: (kid: string) => boolean,
  maxLength: number,
): OpenMessage {
  return async (jws, typ) => {
    // Exactly, and no token of any other kind: the keys are those of access tokens.
    const kind = { name: 'message', typ, isType: (named: unknown) => named === typ, maxLength }
    const kid = readKid(checkSpelling(jws, kind), kind)
    if (isWithdrawn(kid)) throw new VerificationError('kid', 'the message is signed by a key that was withdrawn')
    const { key } = await find(kid)
    let payload: Uint8Array
    try {
      ;({ payload } = await compactVerify(jws, key, RS256))
    } catch {
      throw new VerificationError('signature', 'the key that the message names did not sign it')
    }
    return readPayload(payload)
  }
}
