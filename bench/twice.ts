import { type Answer, createConnection } from './connection.ts'
import { createTally, type Outcome } from './load.ts'
import type { Ring } from './ring.ts'
import { post, tokenIn } from './sources.ts'

/**
 * Every token goes to two replicas at the same moment, as an honest client's attempts of one exchange do that were sent
 * twice: both answers must be 200 and name the same successor. With it the chain goes on.
 */
export async function refreshTwice(
  host: string,
  ring: Ring,
  { ports, chains, seconds }: { ports: [number, number]; chains: number; seconds: number },
  connect = createConnection,
): Promise<Outcome> {
  const tally = createTally()
  const startedAt = performance.now()
  const until = startedAt + seconds * 1000
  const chain = async (first: string, number: number): Promise<void> => {
    const connections = ports.map((port) => connect(port))
    let token = first
    for (let step = 0; performance.now() < until; step++) {
      const since = performance.now()
      const key = `idempotency-key: ${number}-${step}\r\n`
      const request = post(host, '/refresh', `{"refresh_token":"${token}"}`, key)
      const answers = await Promise.all(connections.map((each) => each.send(request).catch(() => undefined)))
      const [one, other] = answers.map((answer) => tokenIn(answer?.body ?? ''))
      const fault =
        faultOf(answers) ?? (one !== other ? 'second successor' : one === undefined ? 'no token' : undefined)
      tally.add(performance.now() - since, fault)
      if (one === undefined || fault) break
      token = one
    }
    for (const connection of connections) connection.close()
  }
  const tokens = Array.from({ length: chains }, () => ring.take()).filter((token) => token !== undefined)
  await Promise.all(tokens.map(chain))
  return tally.outcome((performance.now() - startedAt) / 1000)
}

/** The first that is not a 200. */
function faultOf(answers: (Answer | undefined)[]): string | undefined {
  for (const answer of answers) if (answer?.status !== 200) return String(answer?.status ?? 'no answer')
  return undefined
}
