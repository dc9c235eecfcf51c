import { execFile } from 'node:child_process'
import { cp, mkdir, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const root = join(import.meta.dirname, '../..')
const tsc = join(root, 'node_modules/typescript/bin/tsc')

/** Fills `node_modules` of a folder: with a package of ours as it is published, and with others as they lie here. */
export async function installPackages(
  folder: string,
  own: 'verifier' | 'browser' | 'server',
  others: string[],
): Promise<void> {
  const source = join(root, 'sdk', own)
  const target = join(folder, 'node_modules/@claviger', own)
  await cp(source, target, { recursive: true, filter: (path) => !/\/(dist|node_modules)$/.test(path) })
  await promisify(execFile)(process.execPath, [tsc, '-p', source, '--outDir', join(target, 'dist')])
  for (const name of others) {
    const link = join(folder, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(root, 'node_modules', name), link)
  }
}
