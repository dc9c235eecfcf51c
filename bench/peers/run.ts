// npm run bench:peers -- [row …] --supabase http://127.0.0.1:9999 --claviger http://localhost:3000 --pid postgres=123 …
import { randomBytes } from 'node:crypto'
import { createConnection } from '../connection.ts'
import { describeMachine, inWords } from '../machine.ts'
import { render, type User } from './adapter.ts'
import { combine, measure, run, sourceOf } from './measure.ts'
import { type Options, type Peer, readOptions, usage } from './options.ts'
import { formatPeers, type PeerLine } from './table.ts'

/** Strong enough for every server's rules. */
const password = 'Correct-horse 9 battery, staple?'
const turns = 2

const say = (text: string): void => void process.stderr.write(`${text}\n`)

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2), process.env)
  const ready: { peer: Peer; users: User[]; sessions: string[] }[] = []
  for (const peer of options.peers) {
    if (peer.createUser) say(`${peer.name}: making ${options.users} accounts`)
    ready.push({ peer, ...(await prepare(peer, options)) })
  }
  const lines: PeerLine[] = []
  for (const row of options.rows) {
    const driven = ready.flatMap(({ peer, users, sessions }) => {
      const source = sourceOf(row, peer, users, sessions)
      return source ? [{ peer, source, measured: [] as Awaited<ReturnType<typeof measure>>[] }] : []
    })
    for (const { peer, source } of driven) {
      say(`${peer.name}: ${row}, warming up`)
      await run(row, peer, source, options.warm)
    }
    for (let turn = 0; turn < turns; turn++) {
      for (const { peer, source, measured } of driven) {
        say(`${peer.name}: ${row}, turn ${turn + 1} of ${turns}`)
        measured.push(await measure(row, peer, source, options.seconds / turns, options.stores))
      }
    }
    for (const { peer, measured } of driven) lines.push({ row, name: peer.name, ...combine(measured) })
  }
  const machine = describeMachine('as given')
  if (options.json) {
    console.log(JSON.stringify({ machine, at: new Date().toISOString(), lines: lines.map(plain) }, null, 2))
  } else console.log(`${inWords(machine)}\n\n${formatPeers(lines)}`)
}

/** Accounts, and a session for each: from a sign-in, or those that were given. */
async function prepare(peer: Peer, options: Options): Promise<{ users: User[]; sessions: string[] }> {
  const { createUser, signIn, credentials = [] } = peer
  if (!createUser || !signIn) return { users: [], sessions: credentials }
  const mark = randomBytes(4).toString('hex')
  const users = Array.from({ length: options.users }, (_, n) => ({ email: `u${n}-${mark}@bench.example`, password }))
  const sessions: string[] = []
  const rest = [...users]
  const connect = async (): Promise<void> => {
    const connection = createConnection(peer.url)
    try {
      for (let user = rest.pop(); user; user = rest.pop()) {
        await createUser(user)
        if (!options.rows.includes('refresh')) continue
        const answer = await connection.send(render(peer.url, signIn(user)))
        const credential = peer.credentialIn(answer)
        if (credential === undefined) throw new Error(`${peer.name}, sign-in: ${answer.status} ${answer.body}`)
        sessions.push(credential)
      }
    } finally {
      connection.close()
    }
  }
  await Promise.all(Array.from({ length: 4 }, connect))
  return { users, sessions }
}

const plain = ({ stores, ...line }: PeerLine): object => ({ ...line, stores: Object.fromEntries(stores) })

if (process.argv.includes('--help')) {
  console.log(usage)
} else {
  main().then(
    () => process.exit(0),
    (error: Error) => {
      console.error(error.message)
      process.exit(1)
    },
  )
}
