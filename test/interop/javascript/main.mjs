// Lets @claviger/verifier, as it is published, judge the tokens on standard input. See ../README.md.
import { createVerifier } from '@claviger/verifier'
import vectors from '@claviger/verifier/vectors.json' with { type: 'json' }

const { env } = globalThis.Deno ? { env: globalThis.Deno.env.toObject() } : process
const verify = createVerifier({ issuer: env.ISSUER, audience: env.AUDIENCE })
await judgeProofs(vectors)
const lines = (await new Response(input()).text()).split('\n').filter(Boolean)
for (const line of lines) {
  const { name, token } = JSON.parse(line)
  const verdict = await verify(token).then(
    () => ({ name, accepted: true }),
    (error) => ({ name, accepted: false, error: String(error).slice(0, 200) }),
  )
  console.log(JSON.stringify(verdict))
}

function input() {
  return globalThis.Deno ? globalThis.Deno.stdin.readable : globalThis.Bun.stdin.stream()
}

/** The key of a proof may be of any kind, and not every runtime's WebCrypto knows the same. */
async function judgeProofs({ issuer, audience, jwks, dpop: { method, url, now, valid, bad } }) {
  // They have one jti.
  const dpop = { mode: 'required', isReplay: () => false }
  const judge = createVerifier({ issuer, audience, jwks, dpop, now: () => now * 1000 })
  for (const { token, proof } of valid) await judge(token, { proof: { header: proof, method, url } })
  for (const { name, token, proof } of bad) {
    const accepted = await judge(token, { proof: { header: proof, method, url } }).then(
      () => true,
      () => false,
    )
    if (accepted) throw new Error(`the proof ${name} was accepted`)
  }
}
