// Creates the secrets at the first start of docker-compose.yml. Later starts find them and change nothing.
// usage: make-secrets.ts [demo]
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  linkSync,
  openSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

/**
 * Read by the servers. PostgreSQL cannot read it: access to the database must not reveal what its contents are sealed
 * with.
 */
const server = '/var/lib/claviger/server'
/** Read by PostgreSQL and by what creates the roles and the tables, which the servers must not be able to do. */
const database = '/var/lib/claviger/database'

const secretFile = join(server, 'claviger-secret')

if (process.argv[2] === 'demo') {
  createOnce(secretFile, newSecret)
  createOnce(join(server, 'owner-url'), () => newUrl('claviger_demo', 'claviger_demo'))
} else {
  const superuserFile = join(database, 'superuser-password')
  // They are created in this order, so the second without the first cannot come from an interrupted start.
  if (existsSync(superuserFile) && !existsSync(secretFile)) {
    console.error(
      'The secrets of the server are gone, but those of its database are there. Put the volume back from a backup: without\n' +
        'them nothing in the database can be opened. To begin again with nothing: docker compose down --volumes',
    )
    process.exit(1)
  }
  createOnce(secretFile, newSecret)
  createOnce(join(server, 'serving-url'), () => newUrl('claviger_serve', 'claviger'))
  createOnce(join(database, 'owner-url'), () => newUrl('claviger', 'claviger'))
  createOnce(superuserFile, newPassword)
}

function newSecret(): string {
  return randomBytes(32).toString('base64')
}

function newPassword(): string {
  return randomBytes(24).toString('base64url')
}

function newUrl(role: string, name: string): string {
  return `postgres://${role}:${newPassword()}@postgres:5432/${name}`
}

/**
 * Creates a file unless it exists, writable by nobody, and readable by its owner and by the group of the folder if that
 * is another's. It is linked into place, so that readers see the whole file or none and no file is ever replaced.
 */
function createOnce(path: string, make: () => string): void {
  if (existsSync(path)) return
  const group = statSync(join(path, '..')).gid
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  const file = openSync(draft, 'wx', 0o400)
  try {
    writeSync(file, make())
    if (group !== process.getgid?.()) {
      fchownSync(file, -1, group)
      fchmodSync(file, 0o440)
    }
    fsyncSync(file)
    linkSync(draft, path)
    console.log(`made ${path}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    closeSync(file)
    unlinkSync(draft)
  }
}
