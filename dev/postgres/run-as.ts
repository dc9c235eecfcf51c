import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, chown, cp, lstat, mkdir, realpath, rename, rm, stat, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { nativeDirectory, type PostgresVersion } from './binaries.ts'

export interface Output {
  code: number
  text: string
}

/** The tools of one PostgreSQL, run as a user that PostgreSQL accepts. */
export interface Tools {
  /** The folder in which the data directory lives. */
  home: string
  run(tool: 'initdb' | 'pg_ctl', args: string[]): Promise<Output>
  /** Hands a file or folder to that user. */
  give(path: string): Promise<void>
}

interface User {
  uid: number
  gid: number
}

type Prefix = (user: User) => { command: string[]; ids: Partial<User> }

const asUser: Prefix = (user) => ({ command: [], ids: user })

/**
 * The unprivileged user keeps one capability of root: to pass folders that are closed to it. Without no_setuid_fixup the
 * kernel ignores the capability in access(2), with which PostgreSQL looks for its own binaries.
 */
const asUserPassingFolders: Prefix = ({ uid, gid }) => ({
  command: [
    'setpriv',
    `--reuid=${uid}`,
    `--regid=${gid}`,
    '--clear-groups',
    '--securebits=+no_setuid_fixup',
    '--inh-caps=-all,+dac_override',
    '--ambient-caps=-all,+dac_override',
  ],
  ids: {},
})

const relocatedRoot = '/var/lib/claviger-dev'

/**
 * PostgreSQL refuses to run as root, and the user that runs it instead may be unable to enter the clone (a folder under
 * /root, or with mode 0700). In this order:
 * 1. that user as it is, where it reaches both binaries and data;
 * 2. that user with CAP_DAC_OVERRIDE through setpriv: everything stays in the clone, nothing is copied, and deleting the
 *    clone deletes all. It needs util-linux and a capability that hardened containers drop; so there is
 * 3. copies of the binaries, and the data, under /var/lib/claviger-dev, with a link to the data in `home`.
 */
export async function findTools(version: PostgresVersion, home: string, dataName: string): Promise<Tools> {
  const native = await nativeDirectory(version)
  if (process.getuid?.() !== 0) return tools(native, home, [], {}, undefined)
  const data = await realpath(join(home, dataName)).catch(() => undefined)
  const user = (data && (await ownerOf(data))) || (await unprivilegedUser())
  for (const prefix of [asUser, asUserPassingFolders]) {
    const { command, ids } = prefix(user)
    const candidate = tools(native, home, command, ids, user)
    if (await reaches(candidate, command, ids, user, data ?? home)) return candidate
  }
  return relocated(version, native, home, dataName, user)
}

function tools(native: string, home: string, command: string[], ids: Partial<User>, user: User | undefined): Tools {
  return {
    home,
    run: (tool, args) => execute([...command, join(native, 'bin', tool), ...args], ids),
    give: async (path) => {
      if (user) await chown(path, user.uid, user.gid)
    },
  }
}

async function reaches(
  candidate: Tools,
  command: string[],
  ids: Partial<User>,
  user: User,
  place: string,
): Promise<boolean> {
  // Its complaint about a folder it may not enter goes to stderr, while the exit code stays 0.
  const version = await candidate.run('initdb', ['--version'])
  if (version.code !== 0 || !/^initdb \(PostgreSQL\) [\d.]+$/.test(version.text.trim())) return false
  const probe = join(place, `.probe-${process.pid}`)
  await mkdir(probe)
  try {
    await chown(probe, user.uid, user.gid)
    if ((await stat(probe)).uid !== user.uid) return false // a mount that does not keep owners
    const test = await execute([...command, 'sh', '-c', 'touch "$1/x" && cat "$1/x"', 'sh', probe], ids)
    return test.code === 0
  } catch {
    return false
  } finally {
    await rm(probe, { recursive: true, force: true })
  }
}

async function relocated(version: string, native: string, home: string, dataName: string, user: User): Promise<Tools> {
  const copy = join(
    relocatedRoot,
    `postgres-${version}-${short(native)}-${(await stat(join(native, 'bin', 'postgres'))).size}`,
  )
  await mkdir(relocatedRoot, { recursive: true })
  await chmod(relocatedRoot, 0o755)
  if (!(await exists(copy))) {
    const partial = `${copy}.${process.pid}`
    await cp(native, partial, { recursive: true, verbatimSymlinks: true })
    await chmod(partial, 0o755)
    await rename(partial, copy).catch(() => rm(partial, { recursive: true, force: true }))
  }
  const newHome = join(relocatedRoot, `data-${short(home)}`)
  await mkdir(newHome, { recursive: true })
  await chmod(newHome, 0o755)
  const link = join(home, dataName)
  const inClone = await lstat(link).catch(() => undefined)
  if (inClone?.isDirectory()) {
    throw new Error(
      `${user.uid} is the user that runs PostgreSQL here, and cannot enter ${link}: open the folders above it (chmod o+x)`,
    )
  }
  // A clone that was copied brings the link to the data of the other one.
  if (inClone) await rm(link)
  await symlink(join(newHome, dataName), link)
  return tools(copy, newHome, [], user, user)
}

async function ownerOf(path: string): Promise<User | undefined> {
  const { uid, gid } = await stat(path)
  return uid === 0 ? undefined : { uid, gid }
}

/** "postgres", made if need be; where users cannot be made, "nobody". initdb insists on a user that has a name. */
async function unprivilegedUser(): Promise<User> {
  const found = await idsOf('postgres')
  if (found) return found
  await execute(['useradd', '--system', '--user-group', '--no-create-home', 'postgres'], {})
  const user = (await idsOf('postgres')) ?? (await idsOf('nobody'))
  if (!user)
    throw new Error('PostgreSQL refuses to run as root, and no other user could be made: start as a normal user')
  return user
}

async function idsOf(name: string): Promise<User | undefined> {
  const [uid, gid] = await Promise.all(['-u', '-g'].map((flag) => execute(['id', flag, name], {})))
  return uid?.code === 0 && gid?.code === 0 ? { uid: Number(uid.text), gid: Number(gid.text) } : undefined
}

function execute([command, ...args]: string[], ids: Partial<User>): Promise<Output> {
  return new Promise((done) => {
    let text = ''
    const child = spawn(command as string, args, {
      ...ids,
      cwd: '/', // the caller's folder may be closed to that user
      stdio: ['ignore', 'pipe', 'pipe'],
      // Nothing of the caller's: PGDATA, PGPORT or a locale that is not installed would change what the tools do.
      env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LC_ALL: 'C' },
    })
    child.stdout.on('data', (chunk) => (text += chunk))
    child.stderr.on('data', (chunk) => (text += chunk))
    child.once('error', (error) => done({ code: -1, text: error.message }))
    child.once('close', (code) => done({ code: code ?? -1, text }))
  })
}

const short = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12)

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
