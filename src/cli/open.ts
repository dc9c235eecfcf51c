import { createBell } from '../bell.ts'
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
import { keyRevoker } from '../revocations/append.ts'

/** What a command works with: parts of the server, without HTTP and without signing. */
export interface Opened
  extends Pick<Deps, 'config' | 'db' | 'clock' | 'serverKeys' | 'outboxBell' | 'revocationBell' | 'revokeKey'> {
  /** The host's clock minus the database's, in milliseconds. */
  hostOffset: number
  /** How many milliseconds the database took to tell the time, including the connection. */
  connectedIn: number
  /** The operation of the command, at the moment of the call. */
  operation(): Operation
  close(): Promise<void>
}

/**
 * @param operator the name of the operator, for the audit trail.
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
    // Once connected: the time that connecting takes would count as an error of the clock.
    await clock.synchronise()
  } catch (error) {
    await db.destroy()
    throw error instanceof ConfigError ? error : new Unreachable(describeTarget(database), error)
  }
  const revocationBell = createBell()
  return {
    config,
    db,
    clock: clock.now,
    serverKeys: deriveKeyList(secrets.serverSecrets),
    // Nobody answers them here: what a command enqueues or revokes is passed on by the servers.
    outboxBell: createBell(),
    revocationBell,
    revokeKey: keyRevoker({ revocationBell }),
    hostOffset: clock.hostOffset(),
    connectedIn,
    operation: () => ({ now: clock.now(), actor: `operator:${operator}`, facts: NO_REQUEST }),
    close: () => db.destroy(),
  }
}
