import { constants, type KeyObject, verify } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import { Problem } from '../errors.ts'
import type { DpopJudge, UnverifiedProof } from '../proven-key.ts'
import type { WasSeen } from '../seen.ts'
import { createSemaphore } from '../semaphore.ts'
import { createNonces } from './nonce.ts'
import { readProof } from './proof.ts'
import { importKey } from './public-key.ts'
import { createReplays } from './replays.ts'

/**
 * Bounds what strangers can have verified. Two at a time leave threads for the signatures of everybody who is being answered; two
 * seconds is as long as anything waits elsewhere.
 */
const VERIFICATIONS = { permits: 2, queue: 4096, patienceMs: 2000 }

interface JudgeDeps {
  config: Pick<Config, 'ISSUER' | 'DPOP_NONCE'>
  serverKeys: KeyList
  clock: Clock
  /** What remembers proofs; by default this process alone. */
  wasSeen?: WasSeen | undefined
}

export function createDpopJudge(deps: JudgeDeps): DpopJudge {
  const { config } = deps
  const nonces = createNonces(deps.serverKeys, () => deps.clock())
  const replays = createReplays(deps.wasSeen)
  const semaphore = createSemaphore(VERIFICATIONS)
  const needsNonce = config.DPOP_NONCE === 'required'

  return {
    read: ({ proofs: [text, another], method, path }, { accessToken } = {}) => {
      if (text === undefined) return undefined
      if (another !== undefined) throw new Problem('invalid_dpop_proof', { reason: 'proof shape' })
      // Never by the header Host, which the sender chooses (RFC 9449 §4.3).
      const proof = readProof(text, { method, url: config.ISSUER + path, accessToken, now: deps.clock() })
      const isWrong = proof.nonce === undefined ? needsNonce : !nonces.judge(proof.nonce)
      if (isWrong) throw new Problem('use_dpop_nonce', { reason: 'nonce' })
      return proof
    },
    prove: async (proof, network) => {
      // Importing a key takes as long as reading the rest, so it waits for its turn too.
      const isSigned = await semaphore.run(async () => {
        const key = importKey(proof.jwk)
        if (!key) throw new Problem('invalid_dpop_proof', { reason: 'proof key' })
        return await verifySignature(proof, key)
      }, network)
      if (!isSigned) throw new Problem('invalid_dpop_proof', { reason: 'proof signature' })
      return { jkt: proof.jkt, fresh: proof.nonce !== undefined }
    },
    useUp: async (proof) => {
      if (await replays.isReplay(proof)) throw new Problem('invalid_dpop_proof', { reason: 'proof replayed' })
    },
    nonce: nonces.current,
  }
}

/** The digest of each algorithm; Ed25519 has its own (RFC 8037 §3.1). */
const DIGESTS: Record<UnverifiedProof['alg'], string | null> = {
  ES256: 'sha256',
  ES384: 'sha384',
  ES512: 'sha512',
  Ed25519: null,
  EdDSA: null,
  PS256: 'sha256',
  RS256: 'sha256',
}

/** On the thread pool. By node:crypto, because an import of a CryptoKey by jose makes it cost a third more. */
function verifySignature({ alg, input, signature }: UnverifiedProof, key: KeyObject): Promise<boolean> {
  const padding = alg === 'PS256' ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
  const isRsa = key.asymmetricKeyType === 'rsa'
  const options = isRsa ? { key, padding, saltLength: 32 } : { key, dsaEncoding: 'ieee-p1363' as const }
  return new Promise((resolve, reject) => {
    verify(DIGESTS[alg], Buffer.from(input), options, signature, (error, isGood) =>
      error ? reject(error) : resolve(isGood),
    )
  })
}
