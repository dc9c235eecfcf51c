import type { Tally } from './audit/tally.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config/config.ts'
import type { KeyList } from './config/secrets.ts'
import type { PasswordHasher } from './credentials/passwords/hasher.ts'
import type { Db } from './db/schema.ts'
import type { Keyring } from './keys/keyring.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

/** Everything that is made once and handed down. A function takes the part that it uses: `Pick<Deps, 'db' | 'clock'>`. */
export interface Deps {
  config: Config
  db: Db
  /** The same database over connections that only refreshes use. */
  refreshDb: Db
  /** The same over a connection that only rotations use. */
  rotationDb: Db
  clock: Clock
  /** The audit trail of what changes nothing. */
  tally: Tally
  log: Log
  /** Keys derived from CLAVIGER_SECRET. */
  serverKeys: KeyList
  keyring: Keyring
  hasher: PasswordHasher
  metrics: Metrics
}
