import { type Cluster, openGiven, openOwn } from '../cluster.ts'
import { type Contender, refreshInTurns } from '../in-turns.ts'
import type { Line } from '../line.ts'
import { createStage, type Stage, warm } from '../stage.ts'

/**
 * The engines given by --database against a plain PostgreSQL of our own, of the same version where we have it: the same load on
 * each in turns.
 * @throws Error if none is given.
 */
export async function engine(stage: Stage): Promise<Line[]> {
  const { databases } = stage.options
  if (databases.length === 0) throw new Error('the row engine compares what --database names: it is missing')
  const given: Cluster[] = [stage.cluster]
  for (const url of databases.slice(1)) given.push(await openGiven(url))
  const plain = await openOwn(stage.cluster.version.startsWith('15') ? '15' : '18')
  const stages = [plain, ...given].map((cluster) => createStage(stage.options, cluster, stage.say))
  try {
    return await compare(stages)
  } finally {
    for (const each of stages) await each.clear()
  }
}

async function compare(stages: Stage[]): Promise<Line[]> {
  const contenders: Contender[] = []
  for (const stage of stages) {
    stage.say(`engine: preparing ${stage.cluster.kind}`)
    const database = await stage.prepare({ users: 1000, families: 10_000 })
    const server = await stage.start(database)
    const driver = await stage.drive(await stage.chains(database, 10_000))
    await warm(driver, server)
    contenders.push({ what: `CPU per refresh, ${stage.cluster.kind} ÷ PostgreSQL alone`, stage, server, driver })
  }
  return await refreshInTurns(contenders, stages[0]?.options.seconds ?? 0)
}
