// A service in a process of its own that verifies tokens offline and follows the feed of revocations. It looks at each token
// that it is told to watch until it is refused, and says when that was.
import { setTimeout as sleep } from 'node:timers/promises'
import { createVerifier, VerificationError } from '../sdk/verifier/src/index.ts'

export interface Following {
  issuer: string
  /** Where the issuer listens. */
  port: number
  audience: string
  /** As behind a proxy that lets no stream through. */
  withoutStream: boolean
}

export type Order = Following | { watch: string; token: string }

/** `refusedAt`: nanoseconds of the machine's monotonic clock, which all processes share. */
export type Sighting =
  | { ready: true }
  | { accepted: string }
  | { refused: string; refusedAt: string }
  | { error: string }

const tell = (sighting: Sighting): void => void process.send?.(sighting)
const watched = new Map<string, string>()

async function follow({ issuer, port, audience, withoutStream }: Following): Promise<void> {
  const verify = createVerifier({
    issuer,
    audience,
    revocations: { maxStaleness: '30s' },
    fetch: async (url, init) => {
      if (withoutStream && url.endsWith('/stream')) return new Response('', { status: 503 })
      return await fetch(url.replace(issuer, `http://127.0.0.1:${port}`), init)
    },
  })
  await verify.ready()
  tell({ ready: true })
  const accepted = new Set<string>()
  for (;;) {
    for (const [name, token] of watched) {
      try {
        await verify(token)
        if (!accepted.has(name)) tell({ accepted: name })
        accepted.add(name)
      } catch (error) {
        if (!(error instanceof VerificationError) || error.check !== 'revoked') throw error
        tell({ refused: name, refusedAt: String(process.hrtime.bigint()) })
        watched.delete(name)
      }
    }
    await sleep(1)
  }
}

process.on('message', (order: Order) => {
  if ('watch' in order) watched.set(order.watch, order.token)
  else follow(order).catch((error: Error) => tell({ error: String(error.stack) }))
})
process.on('disconnect', () => process.exit())
// Ctrl-C reaches the whole group; the process that started us decides when we end.
process.on('SIGINT', () => {})
