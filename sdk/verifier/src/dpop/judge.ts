import { base64url } from 'jose'
import { VerificationError } from '../errors.ts'
import { inTime } from '../in-time.ts'
import type { Timing } from '../key-source.ts'
import { sha256 } from './hash.ts'
import { createKnownKeys } from './known-keys.ts'
import type { DpopPolicy } from './options.ts'
import { checkProofClaims, splitProof } from './proof.ts'
import { createReplays } from './replays.ts'
import { targetOf } from './target.ts'

/** What came with a token by the scheme DPoP. */
export interface SentProof {
  /** The header `DPoP`. undefined: there is none, and the token came as `Bearer`. A list is no proof. */
  header: string | readonly string[] | undefined
  /** Of the request, as it was sent: `GET`. */
  method: string
  /** Of the request: absolute or, where the options of `dpop` have an `origin`, from the path on. */
  url: string
  /** The request itself, where several ask about the same one: its proof is no replay of its own. */
  request?: object
}

export interface DpopJudge {
  /**
   * @param jkt of the key that the token is bound to.
   * @throws VerificationError `dpop` or `replays`; TypeError if the URL of the request says no host, and there is no `origin`.
   */
  (token: string, jkt: string, sent: SentProof, policy: Omit<DpopPolicy, 'mode'>): Promise<void>
}

interface Surroundings extends Pick<Timing, 'now' | 'after'> {
  timeoutMs: number
}

const encoder = new TextEncoder()

type Memory = NonNullable<DpopPolicy['isReplay']>
/** Which proof of a request each memory has let pass, as the middleware of an application and that of a route may both ask. */
const passed = new WeakMap<object, Map<Memory, string>>()

/**
 * Judges proofs (RFC 9449 §4.3) for tokens that have been verified. Cheap checks come first; only one whose key is that of the
 * token costs a signature.
 */
export function createDpopJudge(around: Surroundings): DpopJudge {
  const { now } = around
  const ownMemory = createReplays(now)
  const keys = createKnownKeys()

  const remember = async (key: string, until: number, isReplay: Memory): Promise<boolean> => {
    if (isReplay === ownMemory) return ownMemory(key, until)
    try {
      const answer: unknown = await inTime(() => isReplay(key, until), around)
      // Somebody who forgot a `return` would have every proof pass.
      if (typeof answer !== 'boolean') throw new Error('it gave no boolean')
      return answer
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new VerificationError('replays', `isReplay failed: ${reason}`, { cause })
    }
  }

  return async (token, jkt, { header: proof, method, url, request }, { origin, maxAge, isReplay = ownMemory }) => {
    const target = targetOf(url, origin)
    try {
      const encoded = splitProof(proof)
      const key = await keys.find(encoded)
      if (key.jkt !== jkt) throw new Error('it is by another key than the token is bound to')
      const ath = await sha256(token)
      const text = proof as string
      const { jti, iat } = checkProofClaims(text, { method, url: target, ath, now: now() / 1000, maxAge })
      const at = text.lastIndexOf('.')
      const signed = encoder.encode(text.slice(0, at))
      const signature = base64url.decode(text.slice(at + 1)) as Uint8Array<ArrayBuffer>
      if (!(await key.verify(signature, signed))) throw new Error('its key did not sign it')
      // Of a fixed form: what a client chose would be a strange key in somebody's database.
      const name = await sha256(`${jkt}.${jti}`)
      const passedHere = request && (passed.get(request) ?? new Map<Memory, string>())
      if (passedHere?.get(isReplay) === name) return
      // Twice as long as it is good, for clocks that are behind: those of other processes, and ours once it was set back.
      if (await remember(name, Math.ceil((iat + 2 * maxAge) * 1000), isReplay)) throw new Error('it was used before')
      if (request && passedHere) passed.set(request, passedHere.set(isReplay, name))
    } catch (error) {
      if (error instanceof VerificationError && error.check === 'replays') throw error
      throw new VerificationError('dpop', `the proof: ${(error as Error).message}`)
    }
  }
}
