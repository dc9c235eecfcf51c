import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose'
import { createVerifier } from '../../sdk/verifier/src/index.ts'
import type { Line } from '../line.ts'
import type { Stage } from '../stage.ts'

const AUDIENCE = 'orders'
const TOKENS = 200
/** Each comes after each of the others equally often, as one pays for what the one before has left behind. */
const ORDERS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
]

/** In force at a time, of a busy issuer: ten a second, for the ten minutes that its tokens live. */
const REVOKED = 6000

/**
 * Our verifier, with all that it checks, against jose alone with the key at hand and nothing else to look at; and with the feed of
 * revocations against itself without it.
 */
export async function verify(stage: Stage): Promise<Line[]> {
  stage.say('verify')
  const bound = await verifyBound(stage)
  const { tokens, publicKey, ours, withFeed } = await prepare(stage.issuer)
  const works = [ours, withFeed, (token: string) => jwtVerify(token, publicKey)].map((one) => run(tokens, one))
  const rounds: Round[][] = works.map(() => [])
  const warmAt = performance.now() + stage.options.seconds * 200
  const endAt = performance.now() + stage.options.seconds * 1000
  for (let round = 0; performance.now() < endAt; round++) {
    const isWarm = performance.now() > warmAt
    for (const index of ORDERS[round % ORDERS.length] ?? []) {
      const done = await works[index]?.()
      if (done && isWarm) rounds[index]?.push(done)
    }
  }
  withFeed.close()
  const [own = [], feed = [], bare = []] = rounds
  const [spent, feedSpent, bareSpent] = [cpuEach(own), cpuEach(feed), cpuEach(bare)]
  return [
    {
      what: 'verify a token ÷ jose.jwtVerify',
      perSecond: perSecond(own),
      node: spent,
      against: `jose ${bareSpent.toFixed(3)} ms`,
      figure: spent / bareSpent,
      unit: '×',
      target: { atMost: 1.1 },
    },
    {
      what: 'verify a token, with the feed of revocations ÷ without',
      perSecond: perSecond(feed),
      node: feedSpent,
      against: `without ${spent.toFixed(3)} ms`,
      figure: medianRatio(feed, own),
      unit: '×',
      target: { atMost: 1.02 },
    },
    bound,
  ]
}

/** Tokens that are bound to one key each, with a proof of it (RFC 9449), against the same without. Clients send many proofs with one key. */
async function verifyBound({ issuer, options }: Stage): Promise<Line> {
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
  const kid = 'the-key'
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid, use: 'sig', alg: 'RS256' }] }
  const origin = 'https://orders.example'
  const verifier = createVerifier({ issuer, audience: AUDIENCE, jwks, dpop: { mode: 'accepted', origin } })
  await verifier.ready()
  const tokens = await mint(issuer, kid, privateKey)
  const clients = await Promise.all(Array.from({ length: TOKENS }, () => createProver(issuer, kid, privateKey, origin)))
  const rounds: [Round[], Round[]] = [[], []]
  const endAt = performance.now() + options.seconds * 1000
  for (let round = 0; performance.now() < endAt; round++) {
    const sent = await Promise.all(clients.map((client) => client()))
    const proofs = new Map(sent.map(({ token, proof }) => [token, { header: proof, method: 'GET', url: '/items' }]))
    const unbound = run(tokens, verifier)
    const bound = run([...proofs.keys()], (token) => verifier(token, { proof: proofs.get(token) }))
    const works: [typeof bound, number][] = [
      [unbound, 0],
      [bound, 1],
    ]
    for (const [work, index] of round % 2 ? works.toReversed() : works) {
      const done = await work()
      if (round > 3) rounds[index]?.push(done)
    }
  }
  const [without, withProof] = rounds
  return {
    what: 'verify a bound token and its proof ÷ an unbound one',
    perSecond: perSecond(withProof),
    node: cpuEach(withProof),
    against: `unbound ${cpuEach(without).toFixed(3)} ms`,
    figure: medianRatio(withProof, without),
    unit: '×',
  }
}

/** @returns a function that makes one more proof for the token. */
async function createProver(issuer: string, kid: string, key: CryptoKey, origin: string) {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(publicKey)
  const [token = ''] = await mint(issuer, kid, key, 1, { cnf: { jkt: await calculateJwkThumbprint(jwk) } })
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))
  const ath = Buffer.from(digest).toString('base64url')
  return async () => ({
    token,
    proof: await new SignJWT({ htm: 'GET', htu: `${origin}/items`, ath })
      .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
      .setJti(crypto.randomUUID())
      .setIssuedAt()
      .sign(privateKey),
  })
}

async function prepare(issuer: string) {
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
  const kid = 'the-key'
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid, use: 'sig', alg: 'RS256' }] }
  const ours = createVerifier({ issuer, audience: AUDIENCE, jwks })
  const withFeed = createVerifier({
    issuer,
    audience: AUDIENCE,
    jwks,
    revocations: {},
    // Without a stream: it reads the list, and then every five seconds what is new.
    fetch: async (url) => {
      if (url.endsWith('/stream')) return new Response(null, { status: 503 })
      return new Response(await signList(issuer, url.includes('?since=') ? [] : others, kid, privateKey))
    },
  })
  await Promise.all([ours.ready(), withFeed.ready()])
  return { ours, withFeed, publicKey, tokens: await mint(issuer, kid, privateKey) }
}

const others = Array.from({ length: REVOKED }, () => crypto.randomUUID())

function signList(iss: string, sids: string[], kid: string, key: CryptoKey): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const revocations = sids.map((sid, index) => ({ seq: index + 1, sid, revoked_at: now, expires_at: now + 660 }))
  return new SignJWT({
    iss,
    iat: now,
    epoch: 'bench',
    after: sids.length > 0 ? 0 : REVOKED,
    seq: REVOKED,
    ttl: 2,
    revocations,
  })
    .setProtectedHeader({ alg: 'RS256', typ: 'revocations+jwt', kid })
    .sign(key)
}

function mint(issuer: string, kid: string, key: CryptoKey, count = TOKENS, more: object = {}): Promise<string[]> {
  const claims = { client_id: 'web', scope: 'account', amr: ['pwd'], roles: [], auth_time: 1, ...more }
  return Promise.all(
    Array.from({ length: count }, () =>
      // Each of a session of its own, as elsewhere: one that was looked up before is found faster.
      new SignJWT({ ...claims, sid: crypto.randomUUID() })
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

/**
 * One token after the other. That takes some ten milliseconds: what disturbs the machine is then in a few rounds, or in
 * all of those that are compared.
 */
function run(tokens: string[], verifyOne: (token: string) => Promise<unknown>) {
  return async (): Promise<Round> => {
    const startedAt = performance.now()
    const cpuAt = process.cpuUsage()
    for (const token of tokens) await verifyOne(token)
    const { user, system } = process.cpuUsage(cpuAt)
    return { done: tokens.length, seconds: (performance.now() - startedAt) / 1000, cpu: (user + system) / 1000 }
  }
}

function cpuEach(rounds: Round[]): number {
  return sumOf(rounds, 'cpu') / sumOf(rounds, 'done')
}

function perSecond(rounds: Round[]): number {
  return sumOf(rounds, 'done') / sumOf(rounds, 'seconds')
}

function sumOf(rounds: Round[], name: keyof Round): number {
  return rounds.reduce((sum, round) => sum + round[name], 0)
}

/** Of the rounds that followed each other. The difference is small, and one round that was disturbed would hide it in a sum. */
function medianRatio(rounds: Round[], others: Round[]): number {
  const ratios = rounds.map((round, index) => cpuEach([round]) / cpuEach(others.slice(index, index + 1)))
  return ratios.toSorted((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? Number.NaN
}
