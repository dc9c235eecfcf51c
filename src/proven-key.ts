/** What a client may sign its proofs with (RFC 9449), as the metadata and challenges name it. */
export const PROOF_ALGORITHMS = ['ES256', 'ES384', 'ES512', 'Ed25519', 'EdDSA', 'PS256', 'RS256'] as const

/** A key whose private part the sender of a request has: the proof that came along is good. */
export interface ProvenKey {
  /** RFC 7638 thumbprint, SHA-256: 43 characters of base64url. */
  jkt: string
  /** Whether the proof has a nonce of ours that is current: it was not made in advance. */
  fresh: boolean
}

/** Whether a text has the form of a SHA-256 thumbprint (RFC 7638). */
export function isThumbprint(text: unknown): text is string {
  return typeof text === 'string' && /^[A-Za-z0-9_-]{43}$/.test(text)
}

/** What a request says of itself, as far as a proof has to agree with it. */
export interface ProofRequest {
  /** The values of all its headers DPoP. */
  proofs: readonly string[]
  method: string
  /** Of the request target, without the query. */
  path: string
}

/** A proof that is right in everything but its signature, which nobody has looked at. */
export interface UnverifiedProof {
  alg: (typeof PROOF_ALGORITHMS)[number]
  /** The required members of the public key. */
  jwk: Readonly<Record<string, string>>
  jkt: string
  jti: string
  nonce: string | undefined
  /** What is signed. */
  input: string
  signature: Buffer
}

/** Judges proofs of possession (RFC 9449 §4.3). */
export interface DpopJudge {
  /**
   * Reads the proof of a request and checks everything that is cheap. Awaits nothing.
   * @param options.accessToken that came with the request: the proof has to be for it (`ath`).
   * @returns undefined if there is no header DPoP.
   * @throws Problem `invalid_dpop_proof`, `use_dpop_nonce`.
   */
  read(request: ProofRequest, options?: { accessToken?: string }): UnverifiedProof | undefined
  /**
   * Verifies the signature off the event loop.
   * @param network that the request came from: each has a line of its own to wait in.
   * @throws Problem `invalid_dpop_proof`, or `unavailable` if too many wait.
   */
  prove(proof: UnverifiedProof, network: string): Promise<ProvenKey>
  /**
   * Remembers a proof that has been verified. Not for refresh tokens: each is good for one exchange, by the rule of its family.
   * Rejects with Problem `invalid_dpop_proof` if it was here before.
   */
  useUp(proof: UnverifiedProof): Promise<void>
  /** The nonce for the next proof. */
  nonce(): string
}
