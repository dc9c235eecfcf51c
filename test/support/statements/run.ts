import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { readNodes, urlOf } from '../../../dev/postgres/citus.ts'
import { migrate } from '../../../src/db/migrate.ts'
import { query } from '../postgres.ts'
import { createAnalyst } from './analyst.ts'
import { type Sent, STATEMENTS_FILE } from './collect.ts'
import { readQuery } from './query.ts'
import { type Fault, judge } from './rules.ts'

/** What a text may name that this schema does not have: tests also run on earlier schemas, and on none. */
const OF_ANOTHER_SCHEMA = ['42P01', '42703', '42883', '42704']

/**
 * Judges all that a run has sent, in a database of its own.
 * @param url of its server, as superuser.
 * @returns what was done, in words.
 * @throws Error naming each statement that could not be distributed, where it comes from, and what to write instead.
 */
export async function inspectRun(folder: string, url: string, databasePrefix: string): Promise<string> {
  const sent = readSent(folder)
  if (sent.length === 0) return 'no statement was sent that could be inspected'
  if ((await readNodes(url)).length > 0) return 'no statement was inspected: the cluster has judged them itself'
  const name = `${databasePrefix}_inspected`
  await query(url, `CREATE DATABASE ${name} TEMPLATE template0`)
  await migrate(urlOf(url, name))
  const { judged, faults } = await inspect(sent, urlOf(url, name))
  if (faults.length > 0) {
    throw new Error(
      `${faults.length} statements could not be distributed (CONTRIBUTING.md, “Statements”):\n${faults.join('\n')}`,
    )
  }
  return `all statements could be distributed: ${judged} were inspected`
}

async function inspect(sent: readonly Sent[], databaseUrl: string): Promise<{ judged: number; faults: string[] }> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const { catalog, analyse } = await createAnalyst(client)
    let judged = 0
    const faults: string[] = []
    for (const { text, from } of sent) {
      const words = `  ${from ?? 'somewhere'}: ${brief(text)}`
      try {
        const tree = await analyse(text)
        if (!tree) continue
        judged++
        const broken = judge(readQuery(tree, catalog), catalog)
        if (broken.length > 0) faults.push([words, ...broken.map(described)].join('\n'))
      } catch (error) {
        const { code = '', message } = error as pg.DatabaseError
        if (!OF_ANOTHER_SCHEMA.includes(code)) faults.push(`${words}\n    PostgreSQL cannot analyse it: ${message}`)
      }
    }
    return { judged, faults }
  } finally {
    await client.end()
  }
}

const described = ({ rule, instead }: Fault): string => `    the rule: ${rule}\n    instead: ${instead}`

/** What several processes have noted, each once. */
function readSent(folder: string): Sent[] {
  const file = join(folder, STATEMENTS_FILE)
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
  const noted = lines.map((line) => JSON.parse(line) as Sent)
  return [...new Map(noted.map((each) => [each.text, each])).values()]
}

const brief = (text: string): string => {
  const line = text.replaceAll(/\s+/g, ' ').trim()
  return line.length > 300 ? `${line.slice(0, 300)}…` : line
}
