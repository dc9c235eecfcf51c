import { readdir, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { stopLeftover } from './cluster.ts'
import { ephemeralPrefix } from './ephemeral.ts'
import { tryLock } from './lock.ts'

/** Stops and removes ephemeral clusters beside this one whose keeper was killed. */
export async function sweepAbandoned(home: string): Promise<void> {
  if (!basename(home).startsWith(ephemeralPrefix)) return
  for (const name of await readdir(dirname(home))) {
    const other = join(dirname(home), name)
    if (other === home || !name.startsWith(ephemeralPrefix)) continue
    // Without a lock file it is one that is just being made. What belongs to another user is that user's to sweep.
    const lockFile = await stat(join(other, 'keeper.lock')).catch(() => undefined)
    if (!lockFile?.isFile() || lockFile.uid !== process.getuid?.()) continue
    const lock = tryLock(join(other, 'keeper.lock'))
    if (!lock) continue
    await stopLeftover(other)
    await rm(other, { recursive: true, force: true })
    lock.close()
  }
}
