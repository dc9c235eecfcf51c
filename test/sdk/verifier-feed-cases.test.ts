import { describe, expect, test, vi } from 'vitest'
import { VerificationError } from '../../sdk/verifier/src/errors.ts'
import { buildVerifier } from '../../sdk/verifier/src/verifier.ts'
import { cases, type StartFollower, tryCase } from '../interop/feed/trial.ts'

// What followers in other languages are tried with, too, by real clocks. All at once: most of what they do is wait.
vi.setConfig({ maxConcurrency: cases.length })

const start: StartFollower = async (issuer, audience, staleness, client) => {
  const verify = buildVerifier({
    issuer,
    audience,
    revocations: { maxStaleness: `${staleness}s` },
    ...(client && { client }),
  })
  return {
    ask: (_name, token) =>
      verify(token).then(
        () => 'accepted',
        (error: unknown) => (error instanceof VerificationError ? error.check : String(error)),
      ),
    [Symbol.asyncDispose]: async () => verify.close(),
  }
}

describe.concurrent('@claviger/verifier, of an issuer whose feed', () => {
  test.each(cases)('$name', { timeout: 40_000 }, async (each) => {
    // The least that it takes.
    await expect(tryCase({ staleness: 5, ...each }, start)).resolves.toBeUndefined()
  })
})
