import type { Db } from '../db/schema.ts'
import type { Log } from '../log.ts'
import { repeat } from '../schedule.ts'
import { createSemaphore } from '../semaphore.ts'
import { type ClientSettings, type Clients, createClients } from './clients.ts'
import { enabledPublicClients } from './queries.ts'
import { readClient, registeredClient } from './registered.ts'

/** How often each replica looks what operators have changed: a change is to be everywhere within five seconds. */
const READ_EVERY_MS = 2000

export interface ClientService {
  clients: Clients
  /** Adopts the clients of the database at once, instead of at the next reading. */
  reload(): Promise<void>
  /** Stops and waits for the reading that is under way. */
  stop(): Promise<void>
}

/** Reads the clients that people sign in with, and keeps them up to date. Those in memory survive an outage of the database. */
export async function startClients(deps: { db: Db; config: ClientSettings; log: Log }): Promise<ClientService> {
  const { db, config, log } = deps
  const { clients, hold } = createClients(config, (id) => readClient(deps, id))
  let seen = '[]'
  const read = async (): Promise<void> => {
    const rows = await enabledPublicClients(db)
    const current = JSON.stringify(rows)
    if (current === seen) return
    const webViews = rows.flatMap(({ type, origins }) => (type === 'native' ? origins : []))
    hold(
      rows.map((row) => registeredClient(config, row)),
      webViews,
    )
    seen = current
  }
  // Serialised, so that an older reading never replaces a newer one.
  const oneAtATime = createSemaphore({ permits: 1, queue: Number.POSITIVE_INFINITY })

  await read()
  const schedule = repeat(log, {
    name: 'clients',
    everyMs: READ_EVERY_MS,
    work: () => oneAtATime.run(read),
    outage: {
      begins: 'the clients cannot be read: carrying on with those in memory',
      ends: 'the clients can be read again',
    },
  })
  return {
    clients,
    reload: () => oneAtATime.run(read),
    stop: async () => {
      await schedule.stop()
      await oneAtATime.run(async () => {})
    },
  }
}
