// What must be secret, made at the first start of docker-compose.yml; every later start finds it and changes nothing.
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

/** Read by the servers only: whoever has the database must not have what its contents are sealed with. */
const server = '/var/lib/claviger/server'
/** Read by PostgreSQL when it makes its data directory. */
const database = '/var/lib/claviger/database'

const roleFile = join(database, 'claviger.sql')
const urlFile = join(server, 'database-url')
const secretFile = join(server, 'claviger-secret')

// They are made in this order, so one without the other is not a start that was cut short.
if (existsSync(roleFile) && !(existsSync(urlFile) && existsSync(secretFile))) {
  console.error(
    'The secrets of the server are gone, but those of its database are there. Put the volume back from a backup: without\n' +
      'them nothing in the database can be opened. To begin again with nothing: docker compose down --volumes',
  )
  process.exit(1)
}

createOnce(secretFile, () => randomBytes(32).toString('base64'))
const url = createOnce(
  urlFile,
  () => `postgres://claviger:${randomBytes(24).toString('base64url')}@postgres:5432/claviger`,
)
createOnce(join(database, 'superuser-password'), () => randomBytes(24).toString('base64url'))
// The server is no superuser: not even injected SQL could then read files or run programs.
createOnce(
  roleFile,
  () => `CREATE ROLE claviger LOGIN PASSWORD '${new URL(url).password}';\nCREATE DATABASE claviger OWNER claviger;\n`,
)

/**
 * The content of a file, made if it is missing: readable by its owner and by the group of the folder where that is
 * another's, writable by nobody. Linking, unlike writing, shows the whole file or none, and never replaces one.
 */
function createOnce(path: string, make: () => string): string {
  if (existsSync(path)) return readFileSync(path, 'utf8')
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
  return readFileSync(path, 'utf8')
}
