import { costOf, rsa } from '../ceilings.ts'
import { createConnection } from '../connection.ts'
import type { Line } from '../line.ts'
import type { Outcome } from '../load.ts'
import { refreshOnce } from '../refresh-once.ts'
import { addService } from '../seed.ts'
import { get, postForm } from '../sources.ts'
import { type Costs, type Stage, sumUp, withCosts } from '../stage.ts'

const ROUNDS = 2

/** What a service's token costs, against the one signature in it; and a question about a token, against the `/me` of its user. */
export async function services(stage: Stage): Promise<Line[]> {
  stage.say('services: tokens, introspection, and signatures alone')
  const { seconds } = stage.options
  const database = await stage.prepare({ users: 1000, families: 10_000 })
  const server = await stage.start(database)
  const driver = await stage.drive()
  const { host } = new URL(stage.issuer)
  const proof = `authorization: ${await addService(database.query)}\r\n`
  const [chain = ''] = await stage.chains(database, 1)
  const connection = createConnection(server.port)
  const { accessToken: token } = await refreshOnce(connection, host, chain)
  connection.close()

  const requests = {
    grant: postForm(host, '/oauth/token', { grant_type: 'client_credentials' }, proof),
    question: postForm(host, '/oauth/introspect', { token }, proof),
    me: get(host, '/me', `authorization: Bearer ${token}\r\n`),
  }
  const works = Object.values(requests).map((request) => (length: number) => {
    const pace = { connections: 32, seconds: length }
    return withCosts(stage, server, () => driver.run(server, { kind: 'repeat', request }, pace))
  })
  for (const work of works) await work(seconds / 10)
  const rounds: (Outcome & Costs)[][] = works.map(() => [])
  const signatures = [await rsa(seconds / 5)]
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, work] of works.entries()) rounds[index]?.push(await work(seconds / (2 * ROUNDS)))
    signatures.push(await rsa(seconds / 5))
  }
  const [grant, question, me] = rounds.map(sumUp)
  if (!grant || !question || !me) throw new Error('nothing was measured')
  const signature = costOf(signatures)
  return [
    {
      what: 'token of a service, 32 connections',
      ...grant,
      against: `RSA-2048 ${signature.toFixed(3)} ms`,
      figure: (grant.node + grant.postgres) / signature,
      unit: '×',
    },
    {
      what: 'introspection of a live token, 32 connections ÷ /me',
      ...question,
      against: `/me ${(me.node + me.postgres).toFixed(3)} ms, ${me.perSecond.toFixed(0)}/s`,
      figure: (question.node + question.postgres) / (me.node + me.postgres),
      unit: '×',
    },
  ]
}
