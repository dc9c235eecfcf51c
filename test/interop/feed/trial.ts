import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command, Verdict } from '../program.ts'
import { audience, client, type Named, type Saying, startFeedIssuer, type World } from './issuer.ts'

export type Word = 'accepted' | 'revoked' | 'stale'
type Expected = Record<string, Word>

/** One of the kinds of steps; the first key tells which. */
interface Step extends World {
  expect?: Expected
  /** For so many seconds, 5 unless it is said. */
  remain?: Expected
  seconds?: number
  revoke?: Named
  unsent?: true
  forge?: Saying
  entry?: Named
  passwords?: number
  sent?: true
  strangers?: number
  epoch?: string
  say?: Saying
}

export interface FeedCase {
  name: string
  /** Seconds that it may be stale, 4 unless it is said. */
  staleness?: number
  steps: Step[]
}

export const { cases } = JSON.parse(readFileSync(new URL('./cases.json', import.meta.url), 'utf8')) as {
  cases: FeedCase[]
}

/** Judges one token by its name and text. */
export type Ask = (name: string, token: string) => Promise<string>
interface Follower extends AsyncDisposable {
  ask: Ask
}
interface Client {
  id: string
  secret: string
}
export type StartFollower = (issuer: string, audience: string, staleness: number, as?: Client) => Promise<Follower>

const DEADLINE_MS = 20_000

/** @throws Error that says what was expected at which step. */
export async function tryCase({ steps, staleness = 4 }: FeedCase, start: StartFollower): Promise<void> {
  await using issuer = await startFeedIssuer()
  await using stack = new AsyncDisposableStack()
  let follower: Follower | undefined
  const judge = async (expected: Expected): Promise<Record<string, string>> => {
    follower ??= stack.use(await start(issuer.url, audience, staleness, client))
    const words: Record<string, string> = {}
    for (const name of Object.keys(expected)) words[name] = await follower.ask(name, issuer.tokens[name] ?? '')
    return words
  }
  for (const [index, step] of steps.entries()) {
    const { expect, remain, revoke, forge, passwords, strangers, epoch, say } = step
    const expected = expect ?? remain
    if (expected) {
      const wanted = JSON.stringify(expected)
      const until = performance.now() + (remain ? (step.seconds ?? 5) * 1000 : DEADLINE_MS)
      for (let found = ''; remain || found !== wanted; ) {
        if (remain && performance.now() > until) break
        found = JSON.stringify(await judge(expected))
        const late = performance.now() > until
        if (found !== wanted && (remain || late)) throw new Error(`step ${index + 1}: ${found}, not ${wanted}`)
        await sleep(50)
      }
    } else if (revoke) issuer.revoke(revoke, step.unsent)
    else if (forge) issuer.forge(step.entry ?? {}, forge)
    else if (passwords) issuer.passwords(passwords, step.sent)
    else if (strangers)
      for (let count = 0; count < strangers; count++) issuer.revoke({ sid: `stranger ${count}` }, true)
    else if (say) issuer.say(say)
    else if (epoch) issuer.beginEpoch(epoch, step.unsent)
    else issuer.set(step)
  }
}

/** What a program of another language says: which error, or none. */
function wordOf({ accepted, error = '' }: Verdict): string {
  if (accepted) return 'accepted'
  return /^(revoked|stale)/i.exec(error)?.[1]?.toLowerCase() ?? error
}

/** A program that reads tokens and writes verdicts, one a line, for as long as the case takes. */
export const startProgram =
  ({ file, args = [], cwd, env }: Command, signal: AbortSignal): StartFollower =>
  async (issuer, ofWhom, staleness, as) => {
    const credentials = as && { CLIENT_ID: as.id, CLIENT_SECRET: as.secret }
    const child = spawn(file, args, {
      cwd,
      signal,
      killSignal: 'SIGKILL',
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {
        ...process.env,
        ...env,
        ...credentials,
        ISSUER: issuer,
        AUDIENCE: ofWhom,
        MAX_STALENESS: String(staleness),
      },
    })
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
    child.on('error', () => {})
    const closed = once(child, 'close')
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    return {
      ask: async (name, token) => {
        child.stdin.write(`${JSON.stringify({ name, token })}\n`)
        const { value, done } = await lines.next()
        if (done) throw new Error(`the program has ended:\n${said}`)
        return wordOf(JSON.parse(value) as Verdict)
      },
      [Symbol.asyncDispose]: async () => {
        child.kill('SIGKILL')
        await closed.catch(() => {})
      },
    }
  }

/** Several at a time: most of what they do is wait. @throws Error with every case that went wrong. */
export async function tryCases(start: StartFollower): Promise<void> {
  const left = cases.toReversed()
  const faults: string[] = []
  const work = async () => {
    for (let next = left.pop(); next; next = left.pop()) {
      const { name } = next
      await tryCase(next, start).catch((error: Error) => faults.push(`${name}: ${error.message}`))
    }
  }
  await Promise.all(Array.from({ length: 6 }, work))
  if (faults.length > 0) throw new Error(faults.join('\n'))
}
