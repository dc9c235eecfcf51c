import { createDatabaseClock, type DatabaseClock } from '../clock.ts'
import { describeTarget } from '../config/database-target.ts'
import { ConfigError, judgeDatabaseLink, parseConfig } from '../config/parse.ts'
import { deriveKeyList } from '../config/secrets.ts'
import { connect } from '../db/connect.ts'
import { databaseTime } from '../db/time.ts'
import { Unreachable } from '../db/unreachable.ts'
import type { Deps } from '../deps.ts'
import { NO_REQUEST } from '../facts.ts'
import type { Operation } from '../operation.ts'

/** What a command works with: the server's parts, without HTTP and without signing. */
export interface Opened extends Pick<Deps, 'config' | 'db' | 'clock' | 'serverKeys'> {
  /** Of the host, against the database, in milliseconds. */
  hostOffset: number
  /** Milliseconds that the database took to say what time it is, connecting included. */
  connectedIn: number
  /** What the command does, from this moment on. */
  operation(): Operation
  close(): Promise<void>
}

/**
 * @param operator who works with it.
 * @throws ConfigError; Unreachable.
 */
export async function open(env: NodeJS.ProcessEnv, operator: string): Promise<Opened> {
  const parsed = parseConfig(env)
  const { config, secrets, database } = parsed
  const { db } = connect({ url: secrets.databaseUrl, size: 2, applicationName: 'claviger cli' })
  const clock: DatabaseClock = createDatabaseClock(() => databaseTime(db))
  const started = performance.now()
  let connectedIn: number
  try {
    await judgeDatabaseLink(parsed)
    await databaseTime(db)
    connectedIn = performance.now() - started
    // Only now: the time that connecting takes would count as an error of the clock.
    await clock.synchronise()
  } catch (error) {
    await db.destroy()
    throw error instanceof ConfigError ? error : new Unreachable(describeTarget(database), error)
  }
  return {
    config,
    db,
    clock: clock.now,
    serverKeys: deriveKeyList(secrets.serverSecrets),
    hostOffset: clock.hostOffset(),
    connectedIn,
    operation: () => ({ now: clock.now(), actor: `operator:${operator}`, facts: NO_REQUEST }),
    close: () => db.destroy(),
  }
}
