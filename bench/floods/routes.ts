import type { Database } from '../cluster.ts'
import { createConnection } from '../connection.ts'
import type { Line } from '../line.ts'
import { type Outcome, sumFaults } from '../load.ts'
import { emailOf, password } from '../seed.ts'
import type { Server } from '../server.ts'
import { post } from '../sources.ts'
import { type Driver, type Stage, warm } from '../stage.ts'
import { type Flood, floods, keySet, requestsOf, type Stranger } from './requests.ts'

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
      stage.say(`flood: ${flood.what}, addresses: ${addresses}`)
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

async function measure(
  stage: Stage,
  server: Server,
  users: Driver,
  rate: number,
  flood: Flood,
  strangers: Stranger[],
): Promise<Line> {
  const { seconds } = stage.options
  const refreshes = () => users.run(server, { kind: 'refresh', apart: true }, { connections: 256, seconds, rate })
  const calm = await refreshes()
  // Strangers bring processors of their own.
  const crowd = await stage.drive([], { yielding: true })
  const requests = requestsOf(flood, new URL(stage.issuer).host, strangers)
  const flooding = crowd.run(server, { kind: 'flood', requests }, { connections: CONNECTIONS, seconds: seconds + 3 })
  await new Promise((resolve) => setTimeout(resolve, 1500))
  const during = await refreshes()
  const answers = await flooding
  crowd.stop()
  const from = strangers.length === 1 ? 'one address' : `${strangers.length} addresses`
  return {
    what: `refresh in a flood of ${flood.what} from ${from}: p99 ÷ p99 without`,
    perSecond: rate,
    p50: during.p50,
    p99: during.p99,
    p999: during.p999,
    against: `p99 ${calm.p99.toFixed(1)} ms; flood ${inWords(answers)}`,
    figure: during.p99 / calm.p99,
    unit: '×',
    ...(flood === keySet ? {} : { target: { atMost: 5 } }),
    faults: sumFaults(calm, during),
  }
}

function inWords({ faults: answers, seconds }: Outcome): string {
  const counts = Object.entries(answers)
  const all = counts.reduce((sum, [, count]) => sum + count, 0)
  return `${(all / seconds).toFixed(0)}/s: ${counts.map(([status, count]) => `${count} × ${status}`).join(', ')}`
}
