import type { TestApp } from '../support/app.ts'
import { createProofKey, type ProofInput, type ProofKey } from '../support/dpop.ts'

/** A client that has a key, and proves it to one app. */
export interface KeyHolder {
  key: ProofKey
  /** The header of a request, by the clock of the app. */
  proof(path: string, more?: Partial<ProofInput>): { dpop: string }
  /** The same with a nonce that is current: it was not made in advance. */
  freshProof(path: string, more?: Partial<ProofInput>): { dpop: string }
}

export function keyHolder(t: TestApp, key = createProofKey()): KeyHolder {
  const proof: KeyHolder['proof'] = (path, more = {}) => ({
    dpop: key.proof({ method: 'POST', url: t.config.ISSUER + path, iat: t.deps.clock().getTime() / 1000, ...more }),
  })
  return { key, proof, freshProof: (path, more = {}) => proof(path, { nonce: t.deps.dpop.nonce(), ...more }) }
}
