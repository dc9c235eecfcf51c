import type { Database } from '../cluster.ts'
import { createConnection } from '../connection.ts'
import { type Flood, floods, keySet, requestsOf, type Stranger } from '../flood-requests.ts'
import type { Line } from '../line.ts'
import { type Outcome, sumFaults } from '../load.ts'
import { emailOf, password } from '../seed.ts'
import type { Server } from '../server.ts'
import { post } from '../sources.ts'
import { type Driver, type Stage, warm } from '../stage.ts'

const CONNECTIONS = 300

/**
 * Whether what strangers may send delays those who are signed in already. Limits are the default ones, and a proxy says
 * who is who: each user refreshes from an address of their own. From one address nearly all of a flood is over the limit;
 * from three hundred little is, as if there were hardly any.
 */
export async function routeFloods(stage: Stage): Promise<Line[]> {
  const { database, tokens, users } = await people(stage)
  const lines: Line[] = []
  let rate: number | undefined
  for (const flood of [...floods, keySet]) {
    for (const addresses of flood === keySet ? [1] : [1, CONNECTIONS]) {
      stage.say(`flood of ${flood.what}, addresses: ${addresses}`)
      const server = await startServer(stage, database)
      const warmed = await warm(users, server, 3, { kind: 'refresh', apart: true })
      rate ??= Math.round((warmed.done / warmed.seconds) * 0.2)
      const accessToken = await signIn(server, stage)
      const strangers = tokens.slice(0, addresses).map((refreshToken) => ({ refreshToken, accessToken }))
      lines.push(await measure(stage, server, users, rate, flood, strangers))
      await server.stop()
    }
  }
  return lines
}

/** Ten thousand who refresh, and the sessions of strangers beside them. */
async function people(stage: Stage): Promise<{ database: Database; tokens: string[]; users: Driver }> {
  const families = 10_000 + CONNECTIONS
  const database = await stage.prepare({ users: 5000, families })
  const tokens = await stage.chains(database, families)
  const users = await stage.drive(tokens.splice(CONNECTIONS))
  return { database, tokens, users }
}

const startServer = (stage: Stage, database: Database): Promise<Server> =>
  stage.start(database, { limits: 'default', env: { TRUSTED_PROXIES: '127.0.0.1', REGISTRATION: 'open' } })

async function signIn({ port }: Server, { issuer }: Stage): Promise<string> {
  const connection = createConnection(port)
  const account = { email: emailOf(0), password, client_id: 'native' }
  const { body } = await connection.send(post(new URL(issuer).host, '/login', JSON.stringify(account)))
  connection.close()
  return (JSON.parse(body) as { access_token: string }).access_token
}

/** In rounds without the flood and with it: what the machine's neighbours do in one of them is then not in the middle. */
const ROUNDS = 3

async function measure(
  stage: Stage,
  server: Server,
  users: Driver,
  rate: number,
  flood: Flood,
  strangers: Stranger[],
): Promise<Line> {
  const seconds = stage.options.seconds / ROUNDS
  const refreshes = () => users.run(server, { kind: 'refresh', apart: true }, { connections: 256, seconds, rate })
  // Strangers bring processors of their own.
  const crowd = await stage.drive([], { yielding: true })
  const requests = requestsOf(flood, new URL(stage.issuer).host, strangers)
  const calm: Outcome[] = []
  const during: Outcome[] = []
  const answers: Outcome[] = []
  for (let round = 0; round < ROUNDS; round++) {
    calm.push(await refreshes())
    const pace = { connections: CONNECTIONS, seconds: seconds + 2 }
    const flooding = crowd.run(server, { kind: 'flood', requests }, pace)
    await new Promise((resolve) => setTimeout(resolve, 1500))
    during.push(await refreshes())
    answers.push(await flooding)
  }
  crowd.stop()
  const without = middle(calm, 'p99')
  const from = strangers.length === 1 ? 'one address' : `${strangers.length} addresses`
  return {
    what: `refresh in a flood of ${flood.what} from ${from}: p99 ÷ p99 without`,
    perSecond: rate,
    p50: middle(during, 'p50'),
    p99: middle(during, 'p99'),
    p999: middle(during, 'p999'),
    against: `p99 ${without.toFixed(1)} ms; flood ${inWords(answers)}`,
    figure: middle(during, 'p99') / without,
    unit: '×',
    ...(flood === keySet ? {} : { target: { atMost: 5 } }),
    faults: sumFaults(...calm, ...during),
  }
}

function middle(outcomes: Outcome[], which: 'p50' | 'p99' | 'p999'): number {
  return outcomes.map((outcome) => outcome[which]).toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? Number.NaN
}

function inWords(answers: Outcome[]): string {
  const counts = Object.entries(sumFaults(...answers))
  const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0)
  const rate = sum(counts.map(([, count]) => count)) / sum(answers.map(({ seconds }) => seconds))
  return `${rate.toFixed(0)}/s: ${counts.map(([status, count]) => `${count} × ${status}`).join(', ')}`
}
