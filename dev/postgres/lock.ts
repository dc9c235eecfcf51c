import { DatabaseSync } from 'node:sqlite'

/**
 * A lock on a file that the system itself drops when the process ends, however it ends: no stale locks, no process ids.
 * (Node offers no other such lock; the database stays empty.)
 * @returns undefined if another process holds it. Keep the result: a collected lock is an open one.
 */
export function tryLock(path: string): DatabaseSync | undefined {
  const lock = new DatabaseSync(path, { timeout: 0 })
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    return lock
  } catch (error) {
    lock.close()
    const busy = 5
    if ((error as { errcode?: number }).errcode !== busy) throw error
    return undefined
  }
}
