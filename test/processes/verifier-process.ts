// A service in a process of its own. It verifies every token that its parent tells it of, over and over, and says what came
// of it when it is asked.
import { setTimeout as sleep } from 'node:timers/promises'
import { createVerifier, VerificationError } from '../../sdk/verifier/src/index.ts'

/** What this service has made of a token so far. */
export interface Judged {
  /** When the last verification began that accepted it, in milliseconds since the epoch. */
  acceptedAt: number | undefined
  /** How often it was accepted, and refused, by the check that failed. */
  times: Record<string, number>
  /** What came of it last: `accepted`, or the check that failed. */
  last: string
  /** Whether it was accepted after it had been refused as revoked. */
  risen: boolean
}

const { ISSUER = '', REACHED_AT = '', MAX_STALENESS = '', CLIENT_ID = '', CLIENT_SECRET = '' } = process.env

const verify = createVerifier({
  issuer: ISSUER,
  audience: ISSUER,
  clockTolerance: 1,
  revocations: { maxStaleness: MAX_STALENESS as `${number}s` },
  client: { id: CLIENT_ID, secret: CLIENT_SECRET },
  fetch: (url, init) => fetch(url.replace(ISSUER, REACHED_AT), init),
})
const tokens = new Map<string, Judged>()

process.on('message', (message: { watch?: string[] }) => {
  for (const token of message.watch ?? [])
    tokens.set(token, { acceptedAt: undefined, times: {}, last: '', risen: false })
  if (!message.watch) process.send?.([...tokens.values()])
})
// The parent has gone.
process.on('disconnect', () => process.exit())

async function judge(token: string, judged: Judged): Promise<void> {
  const begun = Date.now()
  let outcome = 'accepted'
  try {
    await verify(token)
    judged.acceptedAt = begun
    judged.risen ||= judged.times.revoked !== undefined
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error
    outcome = error.check
  }
  judged.times[outcome] = (judged.times[outcome] ?? 0) + 1
  judged.last = outcome
}

for (;;) {
  await Promise.all([...tokens].map(([token, judged]) => judge(token, judged)))
  await sleep(100)
}
