import { once } from 'node:events'
import { join } from 'node:path'
import { plainEnvironment, start } from '../children.ts'
import { createConnection } from '../connection.ts'
import type { Line } from '../line.ts'
import { type Outcome, sumFaults } from '../load.ts'
import type { Stage } from '../stage.ts'

const path = '/.well-known/jwks.json'

/** The key set against a bare Fastify route that sends the same bytes. */
export async function jwks(stage: Stage): Promise<Line[]> {
  stage.say('jwks')
  const server = await stage.start(await stage.prepare({ users: 1, families: 1 }))
  const driver = await stage.drive()
  const host = new URL(stage.issuer).host
  const { body } = await createConnection(server.port).send(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`)
  const bare = await startBare(body)

  const pace = { connections: 32, seconds: stage.options.seconds / 8 }
  const ours = () => driver.run(server, { kind: 'get', path }, pace)
  const theirs = () => driver.run(bare, { kind: 'get', path: '/' }, pace)
  await ours()
  await theirs()
  const [rounds, bareRounds]: [Outcome[], Outcome[]] = [[], []]
  for (let round = 0; round < 4; round++) {
    rounds.push(await ours())
    bareRounds.push(await theirs())
  }
  const rate = (outcomes: Outcome[]): number =>
    outcomes.reduce((sum, { done }) => sum + done, 0) / outcomes.reduce((sum, each) => sum + each.seconds, 0)
  const [perSecond, barePerSecond] = [rate(rounds), rate(bareRounds)]
  bare.stop()
  return [
    {
      what: 'key set ÷ bare Fastify, requests/s',
      perSecond,
      against: `Fastify ${Math.round(barePerSecond)}/s`,
      figure: perSecond / barePerSecond,
      target: { atLeast: 0.9 },
      faults: sumFaults(...rounds),
    },
  ]
}

async function startBare(body: string): Promise<{ port: number; stop(): void }> {
  const child = start([join(import.meta.dirname, '../bare/fastify.ts'), Buffer.from(body).toString('base64')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: plainEnvironment(),
  })
  if (!child.stdout) throw new Error('no output')
  const [line] = await once(child.stdout, 'data')
  return { port: (JSON.parse(String(line)) as { port: number }).port, stop: () => void child.kill('SIGKILL') }
}
