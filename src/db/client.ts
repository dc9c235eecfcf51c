import type { Socket } from 'node:net'
import pg from 'pg'

/**
 * The driver's client, but a connection that met an error is closed. The driver leaves that to the server, which grants
 * whoever it asked for a password a minute to answer: so long a process would not end, and PostgreSQL drop no database.
 */
export class Client extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config)
    const { connection } = this as unknown as { connection: NodeJS.EventEmitter & { stream: Socket } }
    connection.on('error', () => connection.stream.destroy())
  }
}
