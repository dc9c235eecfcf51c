// node make-vectors.ts            writes vectors.json
// node make-vectors.ts <issuer>   prints the same for that issuer
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { badClaims } from './vectors/bad-claims.ts'
import { badShapes } from './vectors/bad-shapes.ts'
import { badSignatures } from './vectors/bad-signatures.ts'
import { type DpopVectors, dpop } from './vectors/dpop.ts'
import { retiringKey, signingKey } from './vectors/keys.ts'
import { AUDIENCE, type BadVector, createMint, type ValidVector } from './vectors/mint.ts'
import { type RevocationVectors, revocations } from './vectors/revocations.ts'
import { published } from './vectors/sign.ts'
import { validTokens } from './vectors/valid.ts'

export interface Vectors {
  about: string
  issuer: string
  audience: string
  /** As the issuer would publish it. */
  jwks: { keys: ReturnType<typeof published>[] }
  valid: ValidVector[]
  bad: BadVector[]
  /** Messages of the feed of revocations. */
  revocations: RevocationVectors
  /** Tokens that are bound to a key, each with a proof. */
  dpop: DpopVectors
}

/**
 * Tokens that a verifier must accept, and tokens that it must refuse. The same issuer gives the same bytes, always.
 * @param issuer URL, without a slash at its end.
 */
export function makeVectors(issuer: string): Vectors {
  const mint = createMint(issuer)
  return {
    about:
      'Test vectors for verifiers of access tokens (RFC 9068), of the messages that tell which were revoked, and of proofs that a token is bound to its sender (RFC 9449). The keys are public: never trust them. "optional": the standards leave it open; @claviger/verifier does as listed here. Made by make-vectors.ts.',
    issuer,
    audience: AUDIENCE,
    jwks: { keys: [published(signingKey), published(retiringKey)] },
    valid: validTokens(mint),
    bad: [...badSignatures(mint), ...badShapes(mint), ...badClaims(mint)],
    revocations: revocations(mint),
    dpop: dpop(mint),
  }
}

/** As the file has it, and as the formatter of this repository leaves it: short lists on one line. */
export function formatVectors(vectors: Vectors): string {
  const text = JSON.stringify(vectors, null, 2)
  return `${text.replace(/\[\n\s+("[^"\n]*"(?:,\n\s+"[^"\n]*")*)\n\s+\]/g, (_all, items: string) => `[${items.replace(/\n\s+/g, ' ')}]`)}\n`
}

if (import.meta.main) {
  const [issuer] = process.argv.slice(2)
  if (issuer) process.stdout.write(formatVectors(makeVectors(issuer)))
  else {
    const file = join(import.meta.dirname, 'vectors.json')
    writeFileSync(file, formatVectors(makeVectors('https://issuer.example')))
  }
}
