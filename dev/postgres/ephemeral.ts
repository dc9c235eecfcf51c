import { constants } from 'node:fs'
import { access, mkdtemp, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Folders of ephemeral clusters start with this. */
export const ephemeralPrefix = 'claviger-test-'

const MEMORY = '/dev/shm'
/** From linux/magic.h. */
const TMPFS_MAGIC = 0x01021994
/** Far more than a cluster of the tests ever takes: about 1 GB, most of it write-ahead log. */
const ROOM = 4 * 1024 ** 3

/**
 * Makes a folder for an ephemeral cluster, in memory where there is plenty. Each test copies a database, some 300
 * files: that takes 10 ms there, and 100 ms on a disk.
 */
export async function makeEphemeralHome(): Promise<string> {
  return mkdtemp(join((await plentyOfMemory()) ? MEMORY : tmpdir(), ephemeralPrefix))
}

async function plentyOfMemory(): Promise<boolean> {
  try {
    await access(MEMORY, constants.W_OK)
    const { type, bavail, bsize } = await statfs(MEMORY)
    return type === TMPFS_MAGIC && bavail * bsize >= ROOM && process.availableMemory() >= 2 * ROOM
  } catch {
    return false
  }
}
