import type { Socket } from 'node:net'
import pg from 'pg'
import type { TargetSession } from '../config/database-target.ts'
import type { Hosts } from './hosts.ts'
import { STATE_SESSION, TELL_STATE } from './session.ts'

type Connected = (error: Error | null, client?: pg.Client) => void

/**
 * What a pool needs to open its connections: each to one host, the one whose turn it is.
 * @param acquire the time in which a caller needs a connection, in milliseconds. Of several hosts each gets its share, so
 * that one that swallows what it is sent leaves enough for the others.
 */
export function connectTo(hosts: Hosts, acquire: number): Pick<pg.PoolConfig, 'Client' | 'onConnect'> {
  const share = hosts.count > 1 ? Math.floor((0.9 * acquire) / hosts.count) : undefined

  class Client extends pg.Client {
    readonly index: number
    constructor(config?: pg.ClientConfig) {
      const { index, url } = hosts.next()
      super({ ...config, connectionString: url, ...(share ? { connectionTimeoutMillis: share } : {}) })
      this.index = index
      // After an error the driver leaves it to the server to close the connection, and a server that has asked for a
      // password waits a minute for it: until then the process could not exit, nor PostgreSQL drop the database.
      const { connection } = this as unknown as { connection: NodeJS.EventEmitter & { stream: Socket } }
      connection.on('error', () => connection.stream.destroy())
    }

    override connect(): Promise<pg.Client>
    override connect(callback: Connected): void
    override connect(callback?: Connected): Promise<pg.Client> | undefined {
      // The pool has one.
      if (!callback) return super.connect()
      const pause = hosts.pause()
      if (pause) process.nextTick(callback, pause)
      else {
        super.connect((error: Error | null) => {
          if (error) hosts.failed(this.index, error)
          callback(error, this)
        })
      }
      return undefined
    }
  }

  return {
    Client,
    // oxlint-disable-next-line typescript/no-misused-promises -- the pool waits for it, whatever its types say
    onConnect: async (client) => {
      const { index } = client as Client
      try {
        await openSession(client, hosts.session, share)
        hosts.answered(index)
      } catch (error) {
        hosts.failed(index, error as Error)
        throw error
      }
    },
  }
}

interface State {
  standby: boolean
  readOnly: boolean
}

/**
 * States the settings of a new connection.
 * @param timeout for the answer, in milliseconds; if undefined, as for any other statement.
 * @throws an error like PostgreSQL's for a write that is refused (25006), if the session cannot do what it must.
 */
async function openSession(client: pg.ClientBase, session: TargetSession, timeout?: number): Promise<void> {
  const text = session === 'any' ? STATE_SESSION : `${STATE_SESSION};${TELL_STATE}`
  // Of several statements, the driver gives a result each.
  const results: unknown = await client.query({ text, query_timeout: timeout } as pg.QueryConfig)
  if (session === 'any') return
  const state = (results as pg.QueryResult<State>[]).at(-1)?.rows[0]
  if (!state || state.standby) throw cannotWrite('is a standby')
  if (state.readOnly && session === 'read-write') throw cannotWrite('is read-only')
}

function cannotWrite(message: string): Error {
  return Object.assign(new Error(message), { code: '25006' })
}
