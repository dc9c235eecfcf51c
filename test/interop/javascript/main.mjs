// Lets @claviger/verifier, as it is published, judge the tokens on standard input. See ../README.md.
import { createVerifier } from '@claviger/verifier'

const { env } = globalThis.Deno ? { env: globalThis.Deno.env.toObject() } : process
const verify = createVerifier({ issuer: env.ISSUER, audience: env.AUDIENCE })
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
