import { type CryptoKey, exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose'
import { createVerifier } from '../../sdk/verifier/src/index.ts'
import type { Line } from '../line.ts'
import type { Stage } from '../stage.ts'

const AUDIENCE = 'orders'
const TOKENS = 200

/** Our verifier, with all that it checks, against jose alone with the key at hand and nothing else to look at. */
export async function verify(stage: Stage): Promise<Line[]> {
  stage.say('verify')
  const { tokens, publicKey, ours: verifyOurs } = await prepare(stage.issuer)
  const ours = run(tokens, verifyOurs)
  const bare = run(tokens, (token) => jwtVerify(token, publicKey))
  const milliseconds = (stage.options.seconds * 1000) / 20
  await ours(milliseconds)
  await bare(milliseconds)
  const [rounds, bareRounds]: [Round[], Round[]] = [[], []]
  for (let round = 0; round < 20; round++) {
    rounds.push(await ours(milliseconds / 4))
    bareRounds.push(await bare(milliseconds / 4))
  }
  const [spent, bareSpent] = [cpuEach(rounds), cpuEach(bareRounds)]
  const done = rounds.reduce((sum, round) => sum + round.done, 0)
  const seconds = rounds.reduce((sum, round) => sum + round.seconds, 0)
  return [
    {
      what: 'verify a token ÷ jose.jwtVerify',
      perSecond: done / seconds,
      node: spent,
      against: `jose ${bareSpent.toFixed(3)} ms`,
      figure: spent / bareSpent,
      unit: '×',
      target: { atMost: 1.1 },
    },
  ]
}

async function prepare(issuer: string) {
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
  const kid = 'the-key'
  const ours = createVerifier({
    issuer,
    audience: AUDIENCE,
    jwks: { keys: [{ ...(await exportJWK(publicKey)), kid, use: 'sig', alg: 'RS256' }] },
  })
  await ours.ready()
  return { ours, publicKey, tokens: await mint(issuer, kid, privateKey) }
}

function mint(issuer: string, kid: string, key: CryptoKey): Promise<string[]> {
  const claims = { client_id: 'web', sid: crypto.randomUUID(), scope: 'account', amr: ['pwd'], roles: [], auth_time: 1 }
  return Promise.all(
    Array.from({ length: TOKENS }, () =>
      new SignJWT({ ...claims })
        .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid })
        .setIssuer(issuer)
        .setAudience(AUDIENCE)
        .setSubject(crypto.randomUUID())
        .setJti(crypto.randomUUID())
        .setIssuedAt()
        .setExpirationTime('1h')
        .sign(key),
    ),
  )
}

interface Round {
  done: number
  seconds: number
  /** Milliseconds of this process, the threads that compute signatures included. */
  cpu: number
}

/** One token after the other, for so long. */
function run(tokens: string[], verifyOne: (token: string) => Promise<unknown>) {
  return async (milliseconds: number): Promise<Round> => {
    const startedAt = performance.now()
    const cpuAt = process.cpuUsage()
    let done = 0
    while (performance.now() - startedAt < milliseconds) {
      for (const token of tokens) await verifyOne(token)
      done += tokens.length
    }
    const { user, system } = process.cpuUsage(cpuAt)
    return { done, seconds: (performance.now() - startedAt) / 1000, cpu: (user + system) / 1000 }
  }
}

function cpuEach(rounds: Round[]): number {
  const sum = (read: (round: Round) => number): number => rounds.reduce((total, round) => total + read(round), 0)
  return sum(({ cpu }) => cpu) / sum(({ done }) => done)
}
