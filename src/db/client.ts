import type { Socket } from 'node:net'
import pg from 'pg'

/**
 * The driver's client, except that it closes its connection after an error. The driver leaves that to the server, and a
 * server that has asked for a password waits a minute for it: until then the process could not exit, nor PostgreSQL drop
 * the database.
 */
export class Client extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config)
    const { connection } = this as unknown as { connection: NodeJS.EventEmitter & { stream: Socket } }
    connection.on('error', () => connection.stream.destroy())
  }
}
