import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Check, VerificationError } from '../../sdk/verifier/src/errors.ts'
import { buildVerifier, type Surroundings, type VerifierOptions } from '../../sdk/verifier/src/verifier.ts'
import { retiringKey, signingKey } from '../../sdk/verifier/vectors/keys.ts'
import { AUDIENCE, createMint, type Mint, retiringKid } from '../../sdk/verifier/vectors/mint.ts'
import { byRetiringKey, byStranger, published } from '../../sdk/verifier/vectors/sign.ts'

export const SECOND = 1000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE

export const first = published(signingKey)
export const second = published(retiringKey)

/** Both clocks and the timers of a verifier, which move only when they are told to. */
export function fakeTime() {
  let monotonic = 5000
  let wall = Date.parse('2030-01-01T00:00:00Z')
  const timers = new Set<{ at: number; work: () => void }>()
  const around: Pick<Surroundings, 'monotonic' | 'now' | 'after'> = {
    monotonic: () => monotonic,
    now: () => wall,
    after: (milliseconds, work) => {
      const timer = { at: monotonic + milliseconds, work }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
  }
  return {
    around,
    timers,
    /** Time passes, and timers that are due go off. */
    travel: (milliseconds: number) => {
      monotonic += milliseconds
      wall += milliseconds
      for (const timer of timers) {
        if (timer.at > monotonic) continue
        timers.delete(timer)
        timer.work()
      }
    },
    /** Time passes while the timers sleep, as they do when nothing runs. */
    pass: (milliseconds: number) => {
      monotonic += milliseconds
      wall += milliseconds
    },
    /** Somebody sets the clock of the machine. */
    setWall: (milliseconds: number) => void (wall += milliseconds),
  }
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void

export interface TestIssuer extends AsyncDisposable {
  url: string
  /** Paths that were asked for. */
  requests: string[]
  mint: Mint
  /** Published keys. */
  keys: unknown[]
  /** `cache-control` of what is published. */
  caching: string
  /** Every connection breaks. */
  down: boolean
  json(read: () => unknown): Answer
  /** By path, with its query or without. */
  answers: Map<string, Answer>
  jwksRequests(): number
}

/** An issuer on this machine, that does what a test tells it to. Ends with the scope. */
export async function startIssuer(): Promise<TestIssuer> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    requests.push(path)
    const answer = issuer.answers.get(path) ?? issuer.answers.get(path.replace(/\?.*/, ''))
    if (issuer.down) request.socket.destroy()
    else if (answer) answer(request, response)
    else response.writeHead(404).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const json =
    (read: () => unknown): Answer =>
    (_request, response) =>
      void response
        .writeHead(200, { 'content-type': 'application/json', 'cache-control': issuer.caching })
        .end(JSON.stringify(read()))
  const issuer: TestIssuer = {
    url,
    requests,
    mint: createMint(url),
    keys: [first],
    caching: 'public, max-age=300',
    down: false,
    json,
    answers: new Map<string, Answer>([
      ['/.well-known/oauth-authorization-server', json(() => ({ issuer: url, jwks_uri: `${url}/jwks` }))],
      ['/jwks', json(() => ({ keys: issuer.keys }))],
    ]),
    jwksRequests: () => requests.filter((path) => path === '/jwks').length,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
  return issuer
}

export const tokens = {
  usual: (issuer: TestIssuer) => issuer.mint.withHeader({}),
  second: (issuer: TestIssuer) => issuer.mint.withHeader({ kid: retiringKid }, byRetiringKey),
  /** Of a key that nobody knows. */
  unknown: (issuer: TestIssuer, kid: string) => issuer.mint.withHeader({ kid }, byStranger),
}

/** A verifier of that issuer, with a time of its own. */
export function verifierOf(
  issuer: TestIssuer,
  options: Partial<VerifierOptions> = {},
  more: Partial<Surroundings> = {},
) {
  const time = fakeTime()
  const errors: VerificationError[] = []
  const verify = buildVerifier(
    { issuer: issuer.url, audience: AUDIENCE, onRefreshError: (error) => errors.push(error), ...options },
    { ...time.around, ...more },
  )
  return { verify, errors, ...time }
}

/** The check that failed; "ok" if none did. What is no VerificationError is thrown on. */
export async function checkOf(verification: Promise<unknown>): Promise<Check | 'ok'> {
  return await verification.then(
    () => 'ok' as const,
    (error: VerificationError) => {
      if (error.name !== 'VerificationError') throw error
      return error.check
    },
  )
}
