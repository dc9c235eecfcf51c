import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')

export const read = (path: string): string => readFileSync(join(root, path), 'utf8')

const foldersWithPages = [
  '',
  'docs',
  'docs/adr',
  'docs/recipes',
  'data',
  'examples',
  'sdk/browser',
  'sdk/server',
  'sdk/verifier',
  'test/interop',
]

/** Everything that is written for people, by its path. */
export const pages = foldersWithPages
  .flatMap((folder) => readdirSync(join(root, folder)).map((name) => join(folder, name)))
  .filter((path) => path.endsWith('.md'))

/** Every file and folder of the repository, without what is installed or built. */
export const files = list('')

function list(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (/^(node_modules|dist|\.git|\.claviger|\.work)$/.test(entry.name)) return []
    const path = join(folder, entry.name)
    return entry.isDirectory() ? [path, ...list(path)] : [path]
  })
}
