import { readProofHeader } from './proof.ts'
import { importKey, type PublicKey, thumbprint } from './public-key.ts'

export interface ProofKey {
  /** Its thumbprint (RFC 7638). */
  jkt: string
  /** @throws Error if the key is none. */
  verify(signature: Uint8Array<ArrayBuffer>, signed: Uint8Array<ArrayBuffer>): Promise<boolean>
}

const MAX_KNOWN = 2048

/**
 * The keys of proofs that held, by the encoded header. That of a client is the same each time, and importing its key costs a third
 * of what verifying does. Where there is no room, the oldest goes and is read again: who sends good proofs with many headers
 * costs others that much.
 */
export function createKnownKeys(most = MAX_KNOWN): { find(encoded: string): ProofKey | Promise<ProofKey> } {
  const known = new Map<string, ProofKey>()

  const read = async (encoded: string): Promise<ProofKey> => {
    const key = readProofHeader(encoded)
    let imported: CryptoKey | undefined
    const found: ProofKey = {
      jkt: await thumbprint(key),
      verify: async (signature, signed) => {
        imported ??= await importKey(key)
        const isSigned = await check(key, imported, signature, signed)
        if (isSigned) keep(encoded, found)
        return isSigned
      },
    }
    return found
  }

  const keep = (encoded: string, key: ProofKey): void => {
    if (known.has(encoded)) return
    const [oldest] = known.keys()
    if (known.size >= most && oldest !== undefined) known.delete(oldest)
    known.set(encoded, key)
  }

  return { find: (encoded) => known.get(encoded) ?? read(encoded) }
}

function check(
  { algorithm }: PublicKey,
  key: CryptoKey,
  signature: Uint8Array<ArrayBuffer>,
  signed: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  return crypto.subtle.verify(algorithm.verifying, key, signature, signed)
}
