import { setTimeout as sleep } from 'node:timers/promises'
import { prepareIssuer } from '../../recipes/issuer.ts'
import type { Command, Program } from '../program.ts'
import { type StartFollower, startProgram, tryCases, type Word } from './trial.ts'

const STALENESS = 6
const DEADLINE_MS = 30_000

/** The real server: somebody signs out, it goes away, and comes back. @throws Error that says what was expected when. */
async function tryServer(databaseUrl: string, start: StartFollower): Promise<void> {
  await using issuer = await prepareIssuer(databaseUrl)
  await issuer.start()
  const tokens = { ended: await issuer.signIn('clerk'), other: await issuer.signIn('visitor') }
  const client = await issuer.registerService()
  await using follower = await start(issuer.url, 'orders', STALENESS, client)
  const reach = async (when: string, expected: Record<keyof typeof tokens, Word>): Promise<void> => {
    const until = performance.now() + DEADLINE_MS
    for (;;) {
      const ended = await follower.ask('ended', tokens.ended)
      const other = await follower.ask('other', tokens.other)
      if (ended === expected.ended && other === expected.other) return
      if (performance.now() > until) throw new Error(`${when}: ${JSON.stringify({ ended, other })}`)
      await sleep(50)
    }
  }
  await reach('at the start', { ended: 'accepted', other: 'accepted' })
  if (!(await client.isProved())) throw new Error('the stream was opened without the credentials')
  const everywhere = { method: 'DELETE', headers: { authorization: `Bearer ${tokens.ended}` } }
  const { status } = await fetch(`${issuer.url}/sessions?including_current=true`, everywhere)
  if (status !== 204) throw new Error(`signing out everywhere was answered ${status}`)
  await reach('after a sign-out', { ended: 'revoked', other: 'accepted' })
  await issuer.stop()
  await reach('without the issuer', { ended: 'revoked', other: 'stale' })
  await issuer.start()
  await reach('when it is back', { ended: 'revoked', other: 'accepted' })
}

/** Of a program that follows the feed and judges tokens as they come: all cases, and the real server. */
export const followerTrial =
  (command: Command): NonNullable<Program['trial']> =>
  async ({ databaseUrl, signal }) => {
    const start = startProgram(command, signal)
    await tryCases(start)
    await tryServer(databaseUrl, start)
  }
