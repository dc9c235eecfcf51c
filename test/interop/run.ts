// npm run test:interop [-- name …] [--all]: lets other languages judge tokens of the real server, and the vectors.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRun } from './commands.ts'
import { generatedClients } from './generated/program.ts'
import { type Issuer, startLiveIssuer, startVectorIssuer } from './issuers.ts'
import { runtimes } from './javascript/program.ts'
import { type Judgement, judge } from './judge.ts'
import { programs as verifiers } from './languages.ts'
import { isOutOfReach } from './out-of-reach.ts'
import type { Program, Verdict } from './program.ts'
import { recipes } from './recipes.ts'
import { formatTable, type Line } from './table.ts'

const detectMs = 20_000
const prepareMs = 300_000
const checkMs = 120_000
const trialMs = 180_000

const programs = [...verifiers, ...runtimes, ...generatedClients, ...recipes]

const interrupted = new AbortController()
const say = (text: string): void => void process.stderr.write(`${text}\n`)

async function main(args: string[]): Promise<number> {
  const names = args.filter((arg) => !arg.startsWith('--'))
  const unknown = names.filter((name) => !programs.some((program) => program.name === name))
  if (unknown.length > 0) {
    say(`no such program: ${unknown.join(', ')}. There are: ${programs.map(({ name }) => name).join(', ')}`)
    return 2
  }
  const chosen = programs.filter(({ name }) => names.length === 0 || names.includes(name))
  const lines: Line[] = []
  // Installs come before the live token: it must not grow old meanwhile.
  const ready: { program: Program; versions: string }[] = []
  for (const program of chosen) {
    const start = performance.now()
    const state = await prepare(program).catch((error: Error) => ({ failure: error.message }))
    if (interrupted.signal.aborted) return 130
    if ('versions' in state) {
      ready.push({ program, versions: state.versions })
      say(`${program.title}: prepared in ${secondsSince(start)}`)
    } else lines.push({ program, ...state })
  }
  if (ready.length > 0) {
    await using live = await startLiveIssuer()
    await using vectors = await startVectorIssuer(live)
    for (const { program, versions } of ready) {
      if (interrupted.signal.aborted) return 130
      const start = performance.now()
      const line: Line = { program, versions }
      try {
        if (program.check) {
          line.live = await judgeTokens(program.title, program.check, live, {})
          line.vectors = await judgeTokens(program.title, program.check, vectors, program.known, args.includes('--all'))
        }
        await program.trial?.({ databaseUrl: live.databaseUrl, signal: limit(trialMs) })
      } catch (error) {
        line.failure = (error as Error).message
      }
      lines.push(line)
      say(`${program.title}: judged in ${secondsSince(start)}`)
    }
  }
  if (interrupted.signal.aborted) return 130
  lines.sort((a, b) => programs.indexOf(a.program) - programs.indexOf(b.program))
  const { text, failed } = formatTable(lines)
  console.log(text)
  return failed === 0 ? 0 : 1
}

async function prepare(program: Program): Promise<{ versions: string } | { absent: string }> {
  const absent = await program.detect(createRun(limit(detectMs)))
  if (absent !== undefined) return { absent }
  const run = createRun(limit(prepareMs))
  try {
    await program.prepare(run)
  } catch (error) {
    const { message } = error as Error
    if (!isOutOfReach(message)) throw error
    say(message)
    return { absent: 'what it needs could not be downloaded' }
  }
  return { versions: await program.versions(run) }
}

async function judgeTokens(
  title: string,
  check: NonNullable<Program['check']>,
  { url: issuer, audience, tokens }: Issuer,
  known: Record<string, string>,
  showAll = false,
): Promise<Judgement> {
  const signal = limit(checkMs)
  const run = createRun(signal, { ISSUER: issuer, AUDIENCE: audience })
  let verdicts: Verdict[]
  if (typeof check === 'function') {
    const folder = await mkdtemp(join(tmpdir(), 'claviger-interop-'))
    try {
      verdicts = await check({ issuer, audience, tokens, signal, folder }, run)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  } else {
    const input = tokens.map(({ name, token }) => `${JSON.stringify({ name, token })}\n`).join('')
    verdicts = (await run(check, input))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Verdict)
  }
  if (showAll) for (const { name, accepted, error } of verdicts) say(`${title}: ${name}: ${accepted || error}`)
  return judge(tokens, verdicts, known)
}

/** Fires with a reason in words when time is up, or at Ctrl-C. */
function limit(ms: number): AbortSignal {
  const late = new AbortController()
  setTimeout(() => late.abort(new Error(`took longer than ${ms / 1000} s`)), ms).unref()
  return AbortSignal.any([late.signal, interrupted.signal])
}

const secondsSince = (start: number): string => `${((performance.now() - start) / 1000).toFixed(1)} s`

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // What runs is ended, then main() unwinds, which stops the servers.
  process.on(signal, () => interrupted.abort(new Error(`ended by ${signal}`)))
}
main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    if (!interrupted.signal.aborted) console.error(error)
    process.exit(interrupted.signal.aborted ? 130 : 1)
  },
)
