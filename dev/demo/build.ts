import { execFile } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'vite'

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)

/** What the demo needs of the packages and of the page, as `npm run build` and Vite make it. */
export async function buildExamples(): Promise<void> {
  await Promise.all(['sdk/browser', 'sdk/verifier'].map(buildPackage))
  await build({ root: join(root, 'examples/spa'), logLevel: 'warn' })
}

async function buildPackage(folder: string): Promise<void> {
  if (isUpToDate(folder)) return
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  await run(process.execPath, [compiler, '-p', join(root, folder)]).catch(
    (error: { stdout?: string; message: string }) => {
      throw new Error(`${folder} could not be built:\n${error.stdout || error.message}`)
    },
  )
}

/** True if nothing in src/ is newer than what was made of it. */
function isUpToDate(folder: string): boolean {
  const made = join(root, folder, 'dist/index.js')
  if (!existsSync(made)) return false
  const { mtimeMs } = statSync(made)
  return readdirSync(join(root, folder, 'src'), { recursive: true }).every(
    (name) => statSync(join(root, folder, 'src', String(name))).mtimeMs < mtimeMs,
  )
}
