// npm run bench [-- row …] [--seconds 10] [--families 1000000] [--rotations 200000] [--database URL] [--json] [--compare FILE]
import { readFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { endAll } from './children.ts'
import { closeClusters, openGiven, openOwn } from './cluster.ts'
import { isMet, type Line } from './line.ts'
import { describeMachine, inWords } from './machine.ts'
import { type Report, readOptions, readReport } from './options.ts'
import { dpop } from './rows/dpop.ts'
import { engine } from './rows/engine.ts'
import { feed } from './rows/feed.ts'
import { flood } from './rows/flood.ts'
import { growth } from './rows/growth.ts'
import { heldRow } from './rows/held-row.ts'
import { jwks } from './rows/jwks.ts'
import { latency } from './rows/latency.ts'
import { login } from './rows/login.ts'
import { logout } from './rows/logout.ts'
import { logoutLatency } from './rows/logout-latency.ts'
import { memory } from './rows/memory.ts'
import { processes } from './rows/processes.ts'
import { profile } from './rows/profile.ts'
import { prune } from './rows/prune.ts'
import { refresh } from './rows/refresh.ts'
import { replicas } from './rows/replicas.ts'
import { roundTrips } from './rows/round-trips.ts'
import { routeFloods } from './rows/route-floods.ts'
import { services } from './rows/services.ts'
import { start } from './rows/start.ts'
import { verify } from './rows/verify.ts'
import { writes } from './rows/writes.ts'
import { createStage, type Stage } from './stage.ts'
import { formatTable } from './table.ts'

type Row = (stage: Stage) => Promise<Line[]>

const rows: Record<string, Row> = {
  refresh,
  latency,
  processes,
  dpop,
  'round-trips': roundTrips,
  login,
  logout,
  flood,
  'route-floods': routeFloods,
  'held-row': heldRow,
  growth,
  writes,
  jwks,
  verify,
  feed,
  replicas,
  start,
  memory,
  prune,
  services,
  'logout-latency': logoutLatency,
}
/** Only when asked for. */
const extras: Record<string, Row> = { profile, engine }

const usage = `npm run bench -- [row …] [options]

rows      ${Object.keys(rows).join(', ')}; and ${Object.keys(extras).join(', ')}
--seconds N      length of one measurement (10)
--families N     of the large table in the row growth (1000000)
--rotations N    before the row writes looks at the size of the table (200000)
--database URL   of a server to use in place of one of our own, whose databases the bench makes and drops; of a Citus cluster
                 the coordinator. The row engine compares each that is given with a server of our own
--json           the report for machines, on standard output
--compare FILE   beside the figures of an earlier --json report`

let stopping = false

async function cleanUp(): Promise<void> {
  stopping = true
  await endAll()
  await closeClusters()
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // Ctrl-C arrives more than once, from the terminal and from the wrappers that pass it on.
    if (stopping) return
    say('stopping')
    void cleanUp().finally(() => process.exit(130))
  })
}

/** One line that is written over, where somebody watches; nothing of it on standard output. */
function say(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
  else if (!/\d %/.test(text)) process.stderr.write(`${text}\n`)
}

async function main(): Promise<number> {
  const { chosen, unknown, help, json, compare, options } = readOptions(process.argv.slice(2), rows, extras)
  if (help || unknown.length > 0) {
    console.error(unknown.length > 0 ? `no row is called ${unknown.join(', ')}\n\n${usage}` : usage)
    return help ? 0 : 2
  }
  if (process.platform !== 'linux') throw new Error('CPU times are read from /proc: this needs Linux')
  const earlier = compare === undefined ? undefined : readReport(readFileSync(compare, 'utf8'))
  const [load = 0] = loadavg()
  if (load > availableParallelism() / 4) {
    console.error(`the machine is busy (load ${load.toFixed(1)}): expect worse figures than it can do`)
  }
  say('starting PostgreSQL')
  const [given] = options.databases
  const cluster = await (given === undefined ? openOwn() : openGiven(given))
  const stage = createStage(options, cluster, say)
  const report: Report = {
    machine: describeMachine(cluster.workers.length === 0 ? cluster.version : `${cluster.version} (${cluster.kind})`),
    at: new Date().toISOString(),
    lines: [],
  }
  for (const name of chosen) {
    const row = rows[name] ?? extras[name]
    if (!row) continue
    try {
      report.lines.push(...(await row(stage)))
    } finally {
      if (!stopping) await stage.clear()
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  if (json) console.log(JSON.stringify(report, null, 2))
  else console.log(`${inWords(report.machine)}\n\n${formatTable(report.lines, earlier)}`)
  return report.lines.some((line) => isMet(line) === false) ? 1 : 0
}

main().then(
  async (code) => {
    await cleanUp()
    process.exit(code)
  },
  async (error: Error) => {
    // While it is being stopped, what was under way fails; whoever stopped it ends the process.
    if (stopping) return
    console.error(`\n${error.stack ?? error.message}`)
    await cleanUp()
    process.exit(1)
  },
)
