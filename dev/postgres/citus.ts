import pg from 'pg'
import { distribute } from '../../src/db/distribute.ts'
import { migrate } from '../../src/db/migrate.ts'

// A Citus cluster in place of one PostgreSQL, where TEST_DATABASE_URL, or --database of the benchmarks, names a database of its
// coordinator that knows the workers. The machines of a cluster find each other by the name of the database that they are asked
// from, so a copy of a template on each of them is a cluster again.

export interface Node {
  host: string
  port: number
  coordinator: boolean
}

/** @returns the machines of the cluster; none if the server is PostgreSQL alone. */
export async function readNodes(server: string): Promise<Node[]> {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  try {
    const { rows: known } = await client.query(`SELECT FROM pg_extension WHERE extname = 'citus'`)
    if (known.length === 0) return []
    const { rows } = await client.query<Node>(`SELECT nodename AS host, nodeport AS port, groupid = 0 AS coordinator
      FROM pg_dist_node WHERE isactive AND noderole = 'primary' ORDER BY groupid`)
    return rows
  } finally {
    await client.end()
  }
}

/** The same database on each machine, the coordinator first. */
export function urlsOf(nodes: readonly Node[], url: string): string[] {
  if (nodes.length === 0) return [url]
  return nodes.map(({ host, port }) => Object.assign(new URL(url), { hostname: host, port: String(port) }).href)
}

/** Migrates and distributes a database that is there and empty on every machine. */
export async function makeCluster(
  nodes: readonly Node[],
  server: string,
  name: string,
  { grantTo, shards }: { grantTo?: string; shards?: number },
): Promise<void> {
  await joinMachines(nodes, server, name)
  const url = urlOf(server, name)
  await migrate(url, { grantTo })
  await distribute(url, { shards })
}

/** Makes a cluster of a database that is there on every machine. */
export async function joinMachines(nodes: readonly Node[], server: string, name: string): Promise<void> {
  for (const url of urlsOf(nodes, urlOf(server, name))) await once(url, 'CREATE EXTENSION citus')
  for (const { host, port, coordinator } of nodes) {
    const statement = coordinator ? 'SELECT citus_set_coordinator_host($1, $2)' : 'SELECT citus_add_node($1, $2)'
    await once(urlOf(server, name), statement, [host, port])
  }
}

async function once(url: string, text: string, values: unknown[] = []): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(text, values)
  } finally {
    await client.end()
  }
}

/** The same server's URL with another database. */
export function urlOf(server: string, database: string): string {
  const url = new URL(server)
  url.pathname = `/${database}`
  return url.href
}
