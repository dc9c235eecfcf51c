// Checks the built packages in sdk/ as npm would publish them: that everything in their manifests exists, and that
// imports of them resolve, with types. CommonJS is left out: all are ES modules, which `require` can load since Node
// 20.19.
import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const root = join(import.meta.dirname, '..')
const judges = [
  ['publint', '--strict'],
  ['attw', '--profile', 'esm-only', '--pack'],
] as const

/** @returns what was found, if anything was. */
async function judge(folder: string): Promise<string> {
  let found = ''
  // One after the other, because each packs the folder.
  for (const [tool, ...options] of judges) {
    await promisify(execFile)(join(root, 'node_modules/.bin', tool), [...options, folder]).catch((error) => {
      found += `${tool} ${folder}\n${error.stdout}${error.stderr}\n`
    })
  }
  return found
}

const folders = readdirSync(join(root, 'sdk')).map((name) => join(root, 'sdk', name))
const findings = await Promise.all(folders.filter((folder) => existsSync(join(folder, 'package.json'))).map(judge))
if (findings.join('')) {
  console.error(findings.join(''))
  process.exitCode = 1
}
